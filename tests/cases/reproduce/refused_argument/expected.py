"""ValueError in price (scales/weigh.py), as it happened in production."""

from scales.weigh import bill


def test_bill_survives_the_recorded_call():
    bill([["tea", 100], ["pots", 900]], {"pots": 19, "tea": 0.07})
