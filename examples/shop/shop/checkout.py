"""From a cart to an order: the bill, the stock, the points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from shop.cart import cart_lines, empty_cart, subtotal_cents
from shop.database import Database
from shop.discounts import discount_cents, kept_voucher
from shop.errors import BadRequest, OutOfStock
from shop.loyalty import order_points
from shop.models import CartLine, Member, Session, Voucher
from shop.shipping import estimate
from shop.tax import contained_tax


@dataclass(frozen=True)
class Delivery:
    """What the customer fills in at the till."""

    recipient: str
    country: str
    donation_cents: int = 0


@dataclass(frozen=True)
class Bill:
    """What an order costs, in cents. Tax is contained in the subtotal."""

    subtotal: int
    discount: int
    shipping: int
    donation: int
    tax: int

    @property
    def total(self) -> int:
        """What the customer pays."""
        return self.subtotal - self.discount + self.shipping + self.donation


def make_bill(
    lines: Sequence[CartLine],
    voucher: Voucher | None,
    delivery: Delivery,
    rates: Mapping[str, float],
) -> Bill:
    """Return the bill of a cart."""
    subtotal = subtotal_cents(lines)
    return Bill(
        subtotal=subtotal,
        discount=discount_cents(subtotal, voucher),
        shipping=estimate(lines, delivery.country).cents,
        donation=delivery.donation_cents,
        tax=contained_tax(lines, rates),
    )


def place_order(
    database: Database,
    session: Session,
    member: Member | None,
    delivery: Delivery,
    rates: Mapping[str, float],
) -> tuple[int, Bill]:
    """Sell the cart: return the order's id and bill. Raises BadRequest, OutOfStock."""
    lines = cart_lines(database, session.id)
    if not lines:
        raise BadRequest("cart", "there is nothing in your cart")
    bill = make_bill(lines, kept_voucher(database, session), delivery, rates)
    points = order_points(lines, member)
    with database.transaction():
        _take_from_stock(database, lines)
        order_id = database.execute(
            "INSERT INTO orders (session_id, member_id, recipient, country, total_cents,"
            " tax_cents, points, placed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            session.id,
            member.id if member else None,
            delivery.recipient,
            delivery.country,
            bill.total,
            bill.tax,
            points,
            date.today().isoformat(),
        )
        for line in lines:
            database.execute(
                "INSERT INTO order_items VALUES (?, ?, ?)", order_id, line.product.id, line.quantity
            )
        empty_cart(database, session.id)
    return order_id, bill


def _take_from_stock(database: Database, lines: Sequence[CartLine]) -> None:
    for line in lines:
        if line.product.stock < line.quantity:
            raise OutOfStock("cart", f"{line.product.name} is sold out")
        database.execute(
            "UPDATE products SET stock = stock - ? WHERE id = ?", line.quantity, line.product.id
        )
