"""What people decided, noted at once and carried out by the loop afterwards.

A decision waits until a move of its change names it (`Changes.move(decision_id=…)`). A sensor
asks for the waiting ones; the gate itself is the lifecycle's.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from selfdrive_dagster.adapters.postgres.tables import decisions
from selfdrive_dagster.errors import BadInput


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict on a change by a person, with the reason and the digests that were shown.

    `ledger_seq` is the row that carried it out, None while it waits.
    """

    decision_id: int
    change_id: str
    verdict: str
    actor: str
    reason: str
    digests: dict[str, str]
    signature: str
    at: datetime
    ledger_seq: int | None = None


class Decisions:
    """The decisions of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(
        self,
        change_id: str,
        verdict: str,
        *,
        actor: str,
        reason: str,
        now: datetime,
        digests: Mapping[str, str] = {},
        signature: str = "",
    ) -> Decision:
        """Note a decision. Raises BadInput without a reason, or for an unknown change."""
        values = {
            "change_id": change_id,
            "verdict": verdict,
            "actor": actor,
            "reason": reason.strip(),
            "digests": dict(digests),
            "signature": signature,
            "at": now,
        }
        if not (verdict and actor and values["reason"]):
            raise BadInput("A decision needs a verdict, a person and a reason.")
        try:
            with self._engine.begin() as connection:
                added = insert(decisions).values(**values).returning(decisions)
                return as_decision(connection.execute(added).mappings().one())
        except IntegrityError:
            raise BadInput(f"There is no change {change_id}.", remedy="selfdrive changes") from None

    def waiting(self, *, after: int = 0, limit: int = 50) -> tuple[Decision, ...]:
        """Return decisions not carried out, oldest first, beyond the id `after` (a cursor)."""
        query = (
            select(decisions)
            .where(decisions.c.ledger_seq.is_(None), decisions.c.decision_id > after)
            .order_by(decisions.c.decision_id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return tuple(as_decision(row) for row in connection.execute(query).mappings())

    def of(self, change_id: str) -> tuple[Decision, ...]:
        """Return all decisions on a change, oldest first."""
        query = select(decisions).where(decisions.c.change_id == change_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(decisions.c.decision_id)).mappings()
            return tuple(as_decision(row) for row in rows)


def as_decision(row: Mapping[Any, Any]) -> Decision:
    """Gather a decision from the table's columns; times in UTC."""
    fields = {name: row[name] for name in Decision.__struct_fields__}
    return Decision(**{**fields, "at": row["at"].astimezone(UTC)})
