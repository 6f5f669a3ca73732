"""Which issues are left alone for a while, who said so and why; each row in the ledger as well.

As with merges (`adapters.verdicts`), a file beside the tables is written each time, so that who
ranks issues needs no database. Belongs here: the rows. Does not belong: what ends a skip
(`issues.skips`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine, insert, select

from selfdrive_dagster.adapters.adopting import adopt_rows
from selfdrive_dagster.adapters.postgres.tables import skips
from selfdrive_dagster.adapters.warehouse.pointers import keep_skips
from selfdrive_dagster.audit import Entry, Link
from selfdrive_dagster.issues.skips import Skip


class Skips:
    """The skips of one database. `root` is the warehouse's folder."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self._engine = engine
        self._root = root

    def record(self, *said: Skip) -> None:
        """Note what was said, and tell the warehouse of it."""
        if said:
            with self._engine.begin() as connection:
                connection.execute(insert(skips), [msgspec.structs.asdict(each) for each in said])
        keep_skips(self._root, self.all())

    def all(self) -> tuple[Skip, ...]:
        """Return all that was said, in its order."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(skips).order_by(skips.c.skip_id)).mappings()
            return tuple(_as_skip(dict(row)) for row in rows)

    def adopt(self, *, actor: str, run_id: str, now: datetime) -> Sequence[Link]:
        """Write a ledger row for each row that has none."""
        return adopt_rows(
            self._engine, skips, lambda row: _entry(_as_skip(dict(row)), actor, run_id, now)
        )


def _as_skip(row: dict[str, Any]) -> Skip:
    fields = {name: row[name] for name in Skip.__struct_fields__}
    until = fields["until"]
    return Skip(
        **{
            **fields,
            "at": fields["at"].astimezone(UTC),
            "until": until.astimezone(UTC) if until else None,
        }
    )


def _entry(said: Skip, actor: str, run_id: str, now: datetime) -> Entry:
    """Return the ledger row: carried out by a run, said by a person or by the loop."""
    return Entry(
        at=now,
        actor=actor,
        kind=f"issue.{said.verdict}",
        issue_id=said.issue_id,
        body={
            "by": said.actor,
            "reason": said.reason,
            "decided_at": said.at.isoformat(),
            "until": said.until.isoformat() if said.until else "",
        },
        run_id=run_id,
    )
