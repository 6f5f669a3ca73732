"""What people decided of issues: merged, split, taken back; in the ledger once the loop saw it.

The tables of the warehouse follow `verdicts.json`, which is written from here each time, so that
who reads issues needs no database. Belongs here: the rows. Does not belong: what a verdict does to
a fingerprint (`issues.members`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy import Engine, insert, select

from selfdrive_dagster.adapters.adopting import adopt_rows
from selfdrive_dagster.adapters.postgres.tables import verdicts
from selfdrive_dagster.adapters.warehouse.pointers import keep_verdicts
from selfdrive_dagster.audit import Entry, Link
from selfdrive_dagster.issues.members import Verdict


class Verdicts:
    """The verdicts of one database. `root` is the warehouse's folder."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self._engine = engine
        self._root = root

    def record(self, verdict: Verdict) -> None:
        """Note a verdict, and tell the warehouse of it."""
        with self._engine.begin() as connection:
            connection.execute(insert(verdicts).values(**msgspec.structs.asdict(verdict)))
        keep_verdicts(self._root, self.all())

    def all(self) -> tuple[Verdict, ...]:
        """Return every verdict in the order in which they were given."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(verdicts).order_by(verdicts.c.verdict_id)).mappings()
            return tuple(_as_verdict(row) for row in rows)

    def adopt(self, *, actor: str, run_id: str, now: datetime) -> Sequence[Link]:
        """Write a ledger row for each verdict that has none, and tell the warehouse of all."""
        links = adopt_rows(
            self._engine, verdicts, lambda row: _entry(_as_verdict(row), actor, run_id, now)
        )
        keep_verdicts(self._root, self.all())
        return links


def _as_verdict(row: "object") -> Verdict:
    fields = {name: row[name] for name in Verdict.__struct_fields__}  # type: ignore[index]
    return Verdict(**{**fields, "at": fields["at"].astimezone(UTC)})


def _entry(said: Verdict, actor: str, run_id: str, now: datetime) -> Entry:
    """Return the ledger row of a verdict: carried out by a run, decided by a person."""
    return Entry(
        at=now,
        actor=actor,
        kind=f"issue.{said.verdict}",
        issue_id=said.issue_id,
        body={
            "by": said.actor,
            "name": said.name,
            "reason": said.reason,
            "decided_at": said.at.isoformat(),
        },
        run_id=run_id,
    )
