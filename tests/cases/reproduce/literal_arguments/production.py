from parcels.rates import parcel_rate

parcel_rate(2500, "JP", express=True)
