"""The loop's purse in PostgreSQL: money is set aside under a lock before a question is sent.

A row that was never settled counts as its whole reservation: whoever set it aside may have been
killed after the question went out. An hour later it is marked `charged`. Days and months are
UTC's, by the database's clock. Does not belong here: what a question costs
(`patches.asking.money`).
"""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, func, insert, select, text, update

from selfdrive_dagster.adapters.postgres.tables import spend
from selfdrive_dagster.model import Ask
from selfdrive_dagster.patches.asking.money import Caps, Denied, Reserved, exceeded

SPEND_LOCK = 0x5E1FD005
"""The advisory lock under which caps are looked at and money is set aside."""

CHARGED = "charged"
LOST_SECONDS = 3600

COUNTS: ColumnElement[int] = func.coalesce(spend.c.spent_micros, spend.c.reserved_micros)
"""What a row takes from every cap."""


def _since(unit: str) -> ColumnElement[datetime]:
    """Return when this day or month began, in UTC."""
    return func.date_trunc(unit, func.clock_timestamp(), "UTC")


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Money gone and questions asked; `open_micros` of it is set aside and not settled."""

    micros: int = 0
    asks: int = 0
    open_micros: int = 0


class Spending:
    """All that was spent on models, in one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def purse(self, change_id: str, issue_id: str, caps: Caps) -> "LoopPurse":
        """Return the purse of one change of an issue."""
        return LoopPurse(self._engine, change_id, issue_id, caps)

    def today(self) -> Spent:
        """Return what this day took."""
        return self._sum(spend.c.at >= _since("day"))

    def this_month(self) -> Spent:
        """Return what this month took."""
        return self._sum(spend.c.at >= _since("month"))

    def by_change(self) -> dict[str, Spent]:
        """Return what each change took."""
        return self._grouped(spend.c.change_id)

    def by_issue(self) -> dict[str, Spent]:
        """Return what each issue took."""
        return self._grouped(spend.c.issue_id)

    def issues(self) -> dict[str, str]:
        """Return the issue of each change that money was spent on."""
        query = select(spend.c.change_id, func.min(spend.c.issue_id)).group_by(spend.c.change_id)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def by_result(self) -> dict[str, Spent]:
        """Return what each kind of end took, "" for what is open."""
        return self._grouped(spend.c.result)

    def _sum(self, which: ColumnElement[bool]) -> Spent:
        with self._engine.connect() as connection:
            return _spent(connection.execute(select(*_FIGURES).where(which)).one())

    def _grouped(self, column: ColumnElement[str]) -> dict[str, Spent]:
        query = select(column.label("name"), *_FIGURES).group_by(column)
        with self._engine.connect() as connection:
            return {row.name: _spent(row) for row in connection.execute(query)}


_OPEN = func.coalesce(
    func.sum(spend.c.reserved_micros).filter(spend.c.settled_at.is_(None)), 0
).label("open_micros")
_FIGURES = (
    func.coalesce(func.sum(COUNTS), 0).label("micros"),
    func.count().label("asks"),
    _OPEN,
)


def _spent(row: Any) -> Spent:
    return Spent(micros=int(row.micros), asks=int(row.asks), open_micros=int(row.open_micros))


class LoopPurse:
    """Money for one change. Any number of processes may hold purses of one database."""

    def __init__(self, engine: Engine, change_id: str, issue_id: str, caps: Caps) -> None:
        self._engine, self._caps = engine, caps
        self._change_id, self._issue_id = change_id, issue_id

    def reserve(self, micros: int, model: str) -> Reserved | Denied:
        """Set an amount aside, committed before this returns; Denied where a cap forbids it."""
        with self._engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SPEND_LOCK})
            charge_lost(connection)
            if why := exceeded(micros, self._gone(connection), self._caps):
                return Denied(why)
            row = {
                "change_id": self._change_id,
                "issue_id": self._issue_id,
                "model": model,
                "reserved_micros": micros,
            }
            made = connection.execute(insert(spend).values(row).returning(spend.c.spend_id))
            return Reserved(str(made.scalar_one()))

    def settle(self, reserved: Reserved, ask: Ask) -> None:
        """Note what a question came to. What was charged as lost meanwhile is set right."""
        waits = spend.c.settled_at.is_(None) | (spend.c.result == CHARGED)
        told = {
            "settled_at": func.clock_timestamp(),
            "spent_micros": ask.spent_micros,
            "result": ask.result.value,
            "ask": msgspec.to_builtins(ask),
        }
        with self._engine.begin() as connection:
            connection.execute(
                update(spend).where(spend.c.spend_id == int(reserved.id), waits).values(told)
            )

    def _gone(self, connection: Connection) -> Caps:
        """Return what is gone of each cap."""
        which = {
            "change": spend.c.change_id == self._change_id,
            "issue": spend.c.issue_id == self._issue_id,
            "day": spend.c.at >= _since("day"),
            "month": spend.c.at >= _since("month"),
        }
        wanted = {
            name: rule for name, rule in which.items() if getattr(self._caps, name) is not None
        }
        sums = {
            name: connection.scalar(select(func.coalesce(func.sum(COUNTS), 0)).where(rule))
            for name, rule in wanted.items()
        }
        return Caps(**{name: int(gone or 0) for name, gone in sums.items()})


def charge_lost(connection: Connection, seconds: float = LOST_SECONDS) -> int:
    """Mark what was never settled as charged, after so many seconds; return how many rows."""
    lost = spend.c.settled_at.is_(None) & (
        spend.c.at < func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    )
    told = {
        "settled_at": func.clock_timestamp(),
        "spent_micros": spend.c.reserved_micros,
        "result": CHARGED,
    }
    return connection.execute(update(spend).where(lost).values(told)).rowcount
