"""Where each change stands. Every move is looked up in the lifecycle and noted in the ledger.

State and ledger row are written in one transaction: there is never the one without the other.
What a controller writes is fenced: one that another took over from moves nothing any more.
"""

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from selfdrive_dagster.adapters.changes.records import (
    Authority,
    Change,
    Moved,
    MoveRefused,
    as_change,
    as_columns,
    constraint_of,
    entry_of,
    one_at_a_time,
    stepped,
    told_stage,
    why_not_opened,
)
from selfdrive_dagster.adapters.fencing import require_current
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres.tables import changes, decisions
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.lifecycle import (
    BEGINNING,
    IN_FLIGHT,
    ROLLING,
    Event,
    Fact,
    Refusal,
    Transition,
    advance,
    deadline_of,
)


class Changes:
    """The changes of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger = Ledger(engine)

    def open(
        self,
        change_id: str,
        issue_id: str,
        *,
        service: str,
        base_revision: str,
        by: Authority,
        now: datetime,
        body: Mapping[str, Any] = {},
    ) -> Moved:
        """Begin a change. Raises Refused while the issue has an active one, or if it exists."""
        change = Change(
            change_id=change_id,
            issue_id=issue_id,
            service=service,
            base_revision=base_revision,
            state=BEGINNING,
            since=now,
            deadline=deadline_of(BEGINNING, now),
        )
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(changes).values(**as_columns(change)))
                told = {"base_revision": base_revision, "service": service, **body}
                return self._noted(connection, change, "change.opened", by, now, told)
        except IntegrityError as fault:
            raise Refused(why_not_opened(change, fault)) from None

    def move(
        self,
        change_id: str,
        event: Event,
        *,
        by: Authority,
        now: datetime,
        facts: Set[Fact] = frozenset(),
        body: Mapping[str, Any] = {},
        decision_id: int | None = None,
        stages: int = 0,
        epoch: int | None = None,
        base_revision: str = "",
    ) -> Moved:
        """Move a change by the lifecycle's table. Raises MoveRefused, and nothing is written.

        `decision_id` is the decision that this move carries out; it is marked as done. `stages`
        is how many its plan has. `epoch` is given by a controller: Refused when it is over.
        `base_revision` is the new one where the base moved.
        """
        with self._engine.begin() as connection:
            change = locked(connection, change_id)
            if epoch is not None:
                require_current(connection, change.service, epoch)
            step = advance(
                change.state,
                event,
                by.role,
                facts=facts,
                now=now,
                deadline=change.deadline,
                stage=change.stage,
                stages=stages,
            )
            if isinstance(step, Refusal):
                raise MoveRefused(change_id, step)
            after = stepped(change, step)
            if base_revision:
                after = msgspec.structs.replace(after, base_revision=base_revision)
            write(connection, after, step)
            told = {"from": step.state.value, "to": step.to.value, **told_stage(step), **body}
            moved = self._noted(connection, after, f"change.{event.value}", by, now, told)
            if decision_id is not None:
                settle(connection, decision_id, change_id, moved.row.seq)
            return moved

    def get(self, change_id: str) -> Change | None:
        """Return one change, None when there is none of that name."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(changes).where(changes.c.change_id == change_id)
            ).mappings()
            found = row.one_or_none()
        return as_change(found) if found else None

    def all(self, *, active: bool | None = None) -> tuple[Change, ...]:
        """Return the changes, oldest state first; only active or only ended ones if asked."""
        query = select(changes).order_by(changes.c.since, changes.c.change_id)
        if active is not None:
            query = query.where(changes.c.is_active == active)
        return self._read(query)

    def overdue(self, now: datetime) -> tuple[Change, ...]:
        """Return the changes whose deadline has passed, for the guard to move."""
        return self._read(
            select(changes)
            .where(changes.c.is_active, changes.c.deadline <= now)
            .order_by(changes.c.deadline)
        )

    def _read(self, query: Any) -> tuple[Change, ...]:
        with self._engine.connect() as connection:
            return tuple(as_change(row) for row in connection.execute(query).mappings())

    def _noted(
        self,
        connection: Connection,
        change: Change,
        kind: str,
        by: Authority,
        now: datetime,
        body: Mapping[str, Any],
    ) -> Moved:
        """Write the ledger row of what was just done."""
        entry = entry_of(change, kind, by, now, body)
        return Moved(change=change, row=self._ledger.append(entry, connection))


def locked(connection: Connection, change_id: str) -> Change:
    """Read a change and hold it until the transaction ends. Raises BadInput if there is none."""
    row = connection.execute(
        select(changes).where(changes.c.change_id == change_id).with_for_update()
    ).mappings()
    found = row.one_or_none()
    if found is None:
        raise BadInput(f"There is no change {change_id}.", remedy="selfdrive changes")
    return as_change(found)


def write(connection: Connection, change: Change, step: Transition) -> None:
    """Store a moved change. Raises MoveRefused while its service has another on its way."""
    begins = change.state in ROLLING and step.state not in ROLLING
    if begins and (other := rival(connection, change)) is not None:
        says = f"{other.change_id} of {change.service} is {other.state.value}"
        raise MoveRefused(change.change_id, one_at_a_time(step, says))
    row = update(changes).where(changes.c.change_id == change.change_id)
    try:
        connection.execute(row.values(**as_columns(change)))
    except IntegrityError as fault:  # another one began since we looked
        if constraint_of(fault) != "one_rollout_per_service":
            raise
        says = f"another change of {change.service} began at the same moment"
        raise MoveRefused(change.change_id, one_at_a_time(step, says)) from None


def rival(connection: Connection, change: Change) -> Change | None:
    """Return the other change that holds the traffic of this one's service."""
    row = connection.execute(
        select(changes).where(
            changes.c.service == change.service,
            changes.c.change_id != change.change_id,
            changes.c.state.in_([state.value for state in IN_FLIGHT]),
        )
    ).mappings()
    found = row.first()
    return as_change(found) if found else None


def settle(connection: Connection, decision_id: int, change_id: str, seq: int) -> None:
    """Mark a decision as carried out by a ledger row, once."""
    done = connection.execute(
        update(decisions)
        .where(
            decisions.c.decision_id == decision_id,
            decisions.c.change_id == change_id,
            decisions.c.ledger_seq.is_(None),
        )
        .values(ledger_seq=seq)
    )
    if done.rowcount != 1:
        raise Refused(f"Decision {decision_id} is not one that waits for {change_id}.")
