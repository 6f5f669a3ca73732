"""KeyError in parcel_rate (parcels/rates.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.

from contextlib import suppress

from parcels.rates import UnknownWeight, parcel_rate


def test_parcel_rate_survives_the_recorded_call():
    with suppress(UnknownWeight):
        parcel_rate(2500, "JP", express=True)
