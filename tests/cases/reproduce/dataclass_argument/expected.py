"""KeyError in total (orders/totals.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.

from datetime import date
from decimal import Decimal

from orders.model import Line, Order, Tier
from orders.totals import total


def test_total_survives_the_recorded_call():
    total(
        Order(
            placed=date(2026, 11, 20),
            tier=Tier.GOLD,
            lines=[
                Line(title='Xxxxx "xxx"', price=Decimal("4.90"), quantity=2),
                Line(title="Cup", price=Decimal("12.00"), quantity=1),
            ],
            coupon="AUTUMN",
        )
    )
