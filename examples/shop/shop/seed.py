"""The first stock of a new shop: products, members, vouchers and reviews from `data/`."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from shop.database import Database
from shop.passwords import hash_password

DEMO_PASSWORD = "tea-and-toast"  # every seeded member's; real members choose their own
FIRST_REVIEW = "2026-01-{day:02}"


def load(name: str) -> Any:
    """Return the parsed contents of `data/<name>.json`."""
    return json.loads(files("shop").joinpath("data", f"{name}.json").read_text("utf-8"))


def fill(database: Database) -> None:
    """Fill an empty database; a database with products stays as it is."""
    if database.row("SELECT 1 FROM products"):
        return
    with database.transaction():
        _add_products(database, load("catalogue"))
        _add_members(database, load("members"))
        for voucher in load("vouchers"):
            database.execute(
                "INSERT INTO vouchers VALUES (?, ?, ?)",
                voucher["code"],
                voucher["percent"],
                voucher["from_cents"],
            )


def _add_products(database: Database, products: list[dict[str, Any]]) -> None:
    for product in products:
        product_id = database.execute(
            "INSERT INTO products (slug, name, category, cents, grams, stock)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            *(product[field] for field in ("slug", "name", "category", "cents", "grams", "stock")),
        )
        for day, rating in enumerate(product["ratings"], start=1):
            database.execute(
                "INSERT INTO reviews (product_id, member_id, rating, text, written)"
                " VALUES (?, ?, ?, '', ?)",
                product_id,
                day,
                rating,
                FIRST_REVIEW.format(day=day),
            )


def _add_members(database: Database, members: list[dict[str, str]]) -> None:
    for member in members:
        database.execute(
            "INSERT INTO members (email, password, name, country, tier, favourite)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            member["email"],
            _demo_password(member["email"]),
            *(member[field] for field in ("name", "country", "tier", "favourite")),
        )


@cache
def _demo_password(email: str) -> bytes:
    """Hashing is slow on purpose: once in a process is enough for a seeded member."""
    return hash_password(DEMO_PASSWORD, salt=email.encode())
