"""Points: members collect them with every order, guests do not."""

from collections.abc import Iterable

from shop.models import CartLine, Member, Product

POINTS_PER_EURO = {"basic": 1, "silver": 2, "gold": 3}


def points_for(product: Product, quantity: int, member: Member | None) -> int:
    """Return the points for some of a product."""
    if member is None:
        return 0
    return product.cents * quantity // 100 * POINTS_PER_EURO[member.tier]


def order_points(lines: Iterable[CartLine], member: Member | None) -> int:
    """Return the points for a whole order."""
    return sum(points_for(line.product, line.quantity, member) for line in lines)
