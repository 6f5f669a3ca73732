from parcels.rates import parcel_rate


def test_inland():
    assert parcel_rate(500, "DE") == 400
