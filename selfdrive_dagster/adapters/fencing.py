"""Whose turn it is: one controller per service at a time, told apart by a number that only grows.

A controller that was stopped for minutes and wakes up still believes that it is the one. It
brings its epoch with every write, and the epoch of the one that took over is higher. So the
sleeper is refused by the database, whatever its clock says. Rollback does not pass through here:
traffic returns to stable without a database.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from selfdrive_dagster.adapters.postgres.tables import controllers
from selfdrive_dagster.errors import BadInput, Refused


class Controller(msgspec.Struct, frozen=True, kw_only=True):
    """Who controls a service since when. `epoch` counts from 1, by one for each who took over."""

    service: str
    epoch: int
    holder: str
    since: datetime


class Controllers:
    """The controllers of one database, one per service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take_over(self, service: str, holder: str, now: datetime) -> int:
        """Become the controller of a service, whoever was it; return the new epoch.

        What another one is writing at this moment is written first; its next write is refused.
        """
        if not (service and holder):
            raise BadInput("A controller needs a service and a name.")
        first = insert(controllers).values(service=service, epoch=1, holder=holder, since=now)
        taking = first.on_conflict_do_update(
            index_elements=["service"],
            set_={"epoch": controllers.c.epoch + 1, "holder": holder, "since": now},
        )
        with self._engine.begin() as connection:
            return int(connection.execute(taking.returning(controllers.c.epoch)).scalar_one())

    def current(self, service: str) -> Controller | None:
        """Return who controls a service, None when nobody ever did."""
        with self._engine.connect() as connection:
            return holder_of(connection, service)


def require_current(connection: Connection, service: str, epoch: int) -> None:
    """Hold the place of a controller until the transaction ends. Raises Refused when it is lost."""
    now = holder_of(connection, service, lock=True)
    if now is not None and now.epoch == epoch:
        return
    told = f"{now.holder} took over at {now.since.isoformat()}" if now else "nobody took it over"
    raise Refused(
        f"Epoch {epoch} of the controller of {service} is not the current one: {told}.",
        remedy="Stop this controller; the one that took over goes on.",
    )


def holder_of(connection: Connection, service: str, *, lock: bool = False) -> Controller | None:
    """Read who controls a service; with `lock` nobody takes over until the transaction ends."""
    query = select(controllers).where(controllers.c.service == service)
    if lock:
        query = query.with_for_update(read=True)
    row = connection.execute(query).mappings().one_or_none()
    return as_controller(row) if row else None


def as_controller(row: Mapping[Any, Any]) -> Controller:
    """Gather a controller from the table's columns; times in UTC."""
    fields = {name: row[name] for name in Controller.__struct_fields__}
    return Controller(**{**fields, "since": row["since"].astimezone(UTC)})
