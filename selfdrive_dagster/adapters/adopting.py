"""Adoption: what people said beside the ledger gets its row there, once, by a run of the loop.

A table that is adopted has one column as its key, in the order of its rows, and `ledger_seq`, which
is empty until then. Does not belong here: what a row says (`verdicts`, `skips`).
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, RowMapping, Table, select, update

from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import Entry, Link


def adopt_rows(engine: Engine, table: Table, entry_of: Callable[[RowMapping], Entry]) -> list[Link]:
    """Write a ledger row for each row that has none, in one transaction with its number."""
    key: Any = next(iter(table.primary_key))
    links = []
    with engine.begin() as connection:
        waiting = select(table).where(table.c.ledger_seq.is_(None)).order_by(key).with_for_update()
        for row in connection.execute(waiting).mappings().all():
            link = Ledger(engine).append(entry_of(row), connection)
            settled = update(table).where(key == row[key.name])
            connection.execute(settled.values(ledger_seq=link.seq))
            links.append(link)
    return links
