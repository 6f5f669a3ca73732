"""Where each change stands. Every move is looked up in the lifecycle and noted in the ledger.

State and ledger row are written in one transaction: there is never the one without the other.
"""

from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres.tables import changes, decisions
from selfdrive_dagster.audit import Entry, Link
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.lifecycle import (
    BEGINNING,
    Actor,
    Event,
    Fact,
    Refusal,
    State,
    Transition,
    advance,
    deadline_of,
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change as it stands. `version` counts its moves; `deadline` is None at an end."""

    change_id: str
    issue_id: str
    service: str
    base_revision: str
    state: State
    since: datetime
    deadline: datetime | None
    version: int = 1


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, in which role, and the run or the signature that stands for it."""

    who: str
    role: Actor
    run_id: str = ""
    signature: str = ""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A change after a move, and the ledger row that tells of it."""

    change: Change
    row: Link


class MoveRefused(Refused):
    """The lifecycle does not allow it; `refusal` says what is missing."""

    def __init__(self, change_id: str, refusal: Refusal) -> None:
        super().__init__(f"{change_id} stays {refusal.state.value}: {refusal.reason}.")
        self.refusal = refusal


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
    ) -> Moved:
        """Move a change by the lifecycle's table. Raises MoveRefused, and nothing is written.

        `decision_id` is the decision that this move carries out; it is marked as done.
        """
        with self._engine.begin() as connection:
            change = self._locked(connection, change_id)
            step = advance(
                change.state, event, by.role, facts=facts, now=now, deadline=change.deadline
            )
            if isinstance(step, Refusal):
                raise MoveRefused(change_id, step)
            after = stepped(change, step)
            connection.execute(
                update(changes).where(changes.c.change_id == change_id).values(**as_columns(after))
            )
            told = {"from": step.state.value, "to": step.to.value, **body}
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

    def _locked(self, connection: Connection, change_id: str) -> Change:
        """Read a change and hold it until the transaction ends."""
        row = connection.execute(
            select(changes).where(changes.c.change_id == change_id).with_for_update()
        ).mappings()
        found = row.one_or_none()
        if found is None:
            raise BadInput(f"There is no change {change_id}.", remedy="selfdrive changes")
        return as_change(found)

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
        entry = Entry(
            at=now,
            actor=by.who,
            kind=kind,
            change_id=change.change_id,
            issue_id=change.issue_id,
            body={"role": by.role.value, **body},
            run_id=by.run_id,
            signature=by.signature,
        )
        return Moved(change=change, row=self._ledger.append(entry, connection))


def stepped(change: Change, step: Transition) -> Change:
    """Return the change after a transition."""
    return msgspec.structs.replace(
        change, state=step.to, since=step.at, deadline=step.deadline, version=change.version + 1
    )


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


def why_not_opened(change: Change, fault: IntegrityError) -> str:
    """Name the rule of the table that a new change breaks."""
    constraint = getattr(getattr(fault.orig, "diag", None), "constraint_name", "")
    return {
        "one_active_change_per_issue": f"{change.issue_id} has an active change already.",
        "changes_pkey": f"{change.change_id} exists already.",
    }.get(constraint, f"{change.change_id} of {change.issue_id} cannot be opened: {constraint}")


def as_columns(change: Change) -> dict[str, Any]:
    """Spread a change over the table's columns."""
    fields = msgspec.structs.asdict(change)
    return {**fields, "state": change.state.value, "is_active": change.deadline is not None}


def as_change(row: Mapping[Any, Any]) -> Change:
    """Gather a change from the table's columns; times in UTC."""
    fields = {name: row[name] for name in Change.__struct_fields__}
    deadline = row["deadline"]
    return Change(
        **{
            **fields,
            "state": State(row["state"]),
            "since": row["since"].astimezone(UTC),
            "deadline": deadline.astimezone(UTC) if deadline else None,
        }
    )
