"""ValueError in price (scales/weigh.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.

from scales.weigh import bill


def test_bill_survives_the_recorded_call():
    bill([["tea", 100], ["pots", 900]], {"pots": 19, "tea": 0.07})
