from decimal import Decimal

from orders.model import Order, Tier

REDUCTION = {Tier.BASIC: Decimal(0)}


def total(order: Order) -> Decimal:
    full = sum(line.price * line.quantity for line in order.lines)
    return full - full * REDUCTION[order.tier]
