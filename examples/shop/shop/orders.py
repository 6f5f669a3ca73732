"""Placed orders, and what they say about a member."""

import sqlite3
from collections.abc import Sequence

from shop.database import Database
from shop.errors import NotFound
from shop.models import Order

COLUMNS = "id, recipient, country, total_cents, placed"
RECENT = 8


def member_orders(database: Database, member_id: int) -> list[Order]:
    """Return a member's latest orders, newest first."""
    rows = database.rows(
        f"SELECT {COLUMNS} FROM orders WHERE member_id = ? ORDER BY id DESC LIMIT {RECENT}",
        member_id,
    )
    return [_order(row) for row in rows]


def find_order(database: Database, order_id: int, session_id: str) -> Order:
    """Return an order placed in this session. Raises NotFound, also for other people's."""
    row = database.row(
        f"SELECT {COLUMNS} FROM orders WHERE id = ? AND session_id = ?", order_id, session_id
    )
    if row is None:
        raise NotFound("order", f"there is no order {order_id} in this visit")
    return _order(row)


def largest_basket(totals: Sequence[int]) -> int:
    """Return the dearest order in cents; 0 without orders."""
    if not totals:
        return 0
    return max(totals)


def _order(row: sqlite3.Row) -> Order:
    return Order(**{field: row[field] for field in COLUMNS.split(", ")})
