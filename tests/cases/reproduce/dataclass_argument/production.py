from datetime import date
from decimal import Decimal

from orders.model import Line, Order, Tier
from orders.totals import total

lines = [Line("Green \"tea\"", Decimal("4.90"), 2), Line("Cup", Decimal("12.00"))]
total(Order(date(2026, 11, 20), Tier.GOLD, lines, coupon="AUTUMN"))
