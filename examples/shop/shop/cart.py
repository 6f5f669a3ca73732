"""The cart of a session."""

from collections.abc import Iterable

from shop.catalogue import find_product, product_of
from shop.database import Database
from shop.errors import OutOfStock
from shop.models import CartLine


def cart_lines(database: Database, session_id: str) -> list[CartLine]:
    """Return what lies in the cart, oldest product first."""
    rows = database.rows(
        "SELECT products.*, quantity FROM cart_items JOIN products ON products.id = product_id"
        " WHERE session_id = ? ORDER BY product_id",
        session_id,
    )
    return [CartLine(product=product_of(row), quantity=row["quantity"]) for row in rows]


def put_in_cart(database: Database, session_id: str, product_id: int, quantity: int) -> None:
    """Set how many of a product lie in the cart. Raises NotFound, OutOfStock."""
    product = find_product(database, product_id)
    if product.stock < quantity:
        raise OutOfStock("quantity", f"only {product.stock} of {product.name} left")
    database.execute(
        "INSERT OR REPLACE INTO cart_items VALUES (?, ?, ?)", session_id, product_id, quantity
    )


def take_from_cart(database: Database, session_id: str, product_id: int) -> None:
    """Take a product out of the cart; it may never have been there."""
    database.execute(
        "DELETE FROM cart_items WHERE session_id = ? AND product_id = ?", session_id, product_id
    )


def empty_cart(database: Database, session_id: str) -> None:
    """Take everything out, the voucher too."""
    database.execute("DELETE FROM cart_items WHERE session_id = ?", session_id)
    database.execute("UPDATE sessions SET voucher = NULL WHERE id = ?", session_id)


def subtotal_cents(lines: Iterable[CartLine]) -> int:
    """Return what the lines cost, before discounts and shipping."""
    return sum(line.cents for line in lines)


def weight_grams(lines: Iterable[CartLine]) -> int:
    """Return what the lines weigh."""
    return sum(line.product.grams * line.quantity for line in lines)
