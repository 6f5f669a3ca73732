"""The shelf: finding products, by id or by search, a page at a time."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from shop.database import Database
from shop.errors import NotFound
from shop.models import Product

PAGE_SIZE = 6


@dataclass(frozen=True)
class Search:
    """What to look for; None and "" do not restrict."""

    words: str = ""
    category: str = ""
    max_cents: int | None = None


def find_product(database: Database, product_id: int) -> Product:
    """Return a product. Raises NotFound."""
    row = database.row("SELECT * FROM products WHERE id = ?", product_id)
    if row is None:
        raise NotFound("product", f"there is no product {product_id}")
    return product_of(row)


def search(database: Database, wanted: Search) -> list[Product]:
    """Return the products that fit, cheapest first."""
    rows = database.rows("SELECT * FROM products ORDER BY cents, id")
    return [product for product in map(product_of, rows) if _fits(product, wanted)]


def page_of(products: Sequence[Product], page: int) -> Sequence[Product]:
    """Return one page, counted from 1; a page past the end is empty."""
    start = (page - 1) * PAGE_SIZE
    return products[start : start + PAGE_SIZE]


def page_count(total: int) -> int:
    """Return how many pages hold so many products."""
    return -(-total // PAGE_SIZE)


def product_of(row: sqlite3.Row) -> Product:
    """Return the product that a row holds."""
    return Product(
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        category=row["category"],
        cents=row["cents"],
        grams=row["grams"],
        stock=row["stock"],
    )


def _fits(product: Product, wanted: Search) -> bool:
    return (
        wanted.words.casefold() in product.name.casefold()
        and wanted.category in ("", product.category)
        and (wanted.max_cents is None or product.cents <= wanted.max_cents)
    )
