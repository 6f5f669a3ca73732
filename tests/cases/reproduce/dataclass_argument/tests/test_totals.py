from datetime import date
from decimal import Decimal

from orders.model import Line, Order, Tier
from orders.totals import total


def test_basic():
    order = Order(date(2026, 1, 2), Tier.BASIC, [Line("tea", Decimal("2.50"), 2)])
    assert total(order) == Decimal("5.00")
