"""Orders as files that a member takes away."""

import csv
import io
from collections.abc import Sequence

from shop.models import Order

HEADER = ("order", "placed", "recipient", "country", "total")


def orders_csv(orders: Sequence[Order]) -> bytes:
    """Return the orders as comma-separated values."""
    return _table(orders, delimiter=",").encode("utf-8")


def _table(orders: Sequence[Order], *, delimiter: str) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=delimiter, lineterminator="\n")
    writer.writerow(HEADER)
    for order in orders:
        total = f"{order.total_cents / 100:.2f}"
        writer.writerow((order.id, order.placed, order.recipient, order.country, total))
    return lines.getvalue()
