"""The ledger's home in PostgreSQL: one chain, whoever writes and however many at once.

Appending takes an advisory lock until the transaction ends, so rows get their places one
after the other; the table refuses UPDATE, DELETE and TRUNCATE. The chain itself is `audit`'s.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, select, text

from selfdrive_dagster.adapters.postgres.tables import ledger
from selfdrive_dagster.audit import Entry, Head, Link, link

LEDGER_LOCK = 0x5E1FD002
"""The advisory lock that writers of the ledger hold in turn."""

MADE = "evidence.made"
"""The kind of the ledger row that tells of a stored record."""


class Ledger:
    """The rows of one database. Opens a transaction per call, or joins the caller's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append(self, entry: Entry, connection: Connection | None = None) -> Link:
        """Add an entry at the end and return its row.

        With `connection` it is part of that transaction, which holds all other writers up
        until it ends: append last, then commit.
        """
        if connection is None:
            with self._engine.begin() as own:
                return self.append(entry, own)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LEDGER_LOCK})
        row = link(newest(connection), entry)
        connection.execute(insert(ledger).values(**as_columns(row)))
        return row

    def entries(self, change_id: str | None = None) -> tuple[Link, ...]:
        """Return all rows in order, or those of one change."""
        query = select(ledger).order_by(ledger.c.seq)
        if change_id is not None:
            query = query.where(ledger.c.change_id == change_id)
        with self._engine.connect() as connection:
            return tuple(as_link(row) for row in connection.execute(query).mappings())

    def find(
        self,
        kind: str,
        change_id: str,
        body: Mapping[str, str] = {},
        *,
        run_id: str | None = None,
        limit: int = 1,
    ) -> tuple[Link, ...]:
        """Return the newest rows of one kind and change whose body says this, newest first.

        `change_id` is "" for rows that belong to no change.
        """
        query = (
            select(ledger)
            .where(ledger.c.change_id == change_id, ledger.c.kind == kind)
            .where(*(ledger.c.body[name].as_string() == word for name, word in body.items()))
            .order_by(ledger.c.seq.desc())
            .limit(limit)
        )
        if run_id is not None:
            query = query.where(ledger.c.run_id == run_id)
        with self._engine.connect() as connection:
            return tuple(as_link(row) for row in connection.execute(query).mappings())

    def after(self, seq: int, limit: int = 200) -> tuple[Link, ...]:
        """Return the rows behind a place, in order, at most `limit`: for whoever follows along."""
        query = select(ledger).where(ledger.c.seq > seq).order_by(ledger.c.seq).limit(limit)
        with self._engine.connect() as connection:
            return tuple(as_link(row) for row in connection.execute(query).mappings())

    def head(self) -> Head | None:
        """Return the newest row's place and seal, to be anchored; None when there is no row."""
        with self._engine.connect() as connection:
            return newest(connection)


def newest(connection: Connection) -> Head | None:
    """Read the head inside a transaction."""
    query = select(ledger.c.seq, ledger.c.hash).order_by(ledger.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return Head(row.seq, row.hash) if row else None


def as_columns(row: Link) -> dict[str, Any]:
    """Spread a row over the table's columns."""
    entry = msgspec.structs.asdict(row.entry)
    return {"seq": row.seq, "prev_hash": row.prev_hash, "hash": row.hash, **entry}


def as_link(row: Mapping[Any, Any]) -> Link:
    """Gather a row from the table's columns."""
    fields = {name: row[name] for name in Entry.__struct_fields__}
    entry = Entry(**{**fields, "at": row["at"].astimezone(UTC)})
    return Link(seq=row["seq"], entry=entry, prev_hash=row["prev_hash"], hash=row["hash"])
