"""A change and its moves as records, and how they lie in the table's columns.

Does not belong here: transactions.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError

from selfdrive_dagster.audit import Entry, Link
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.rollout.lifecycle import Actor, Fact, Refusal, State, Transition


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change as it stands. `version` counts its moves; `deadline` is None at an end.

    `stage` is 0 until users meet the change, and kept when it comes back from them.
    """

    change_id: str
    issue_id: str
    service: str
    base_revision: str
    state: State
    since: datetime
    deadline: datetime | None
    version: int = 1
    stage: int = 0


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


def entry_of(
    change: Change, kind: str, by: Authority, now: datetime, body: Mapping[str, Any]
) -> Entry:
    """Return the ledger's entry of what somebody did to a change."""
    return Entry(
        at=now,
        actor=by.who,
        kind=kind,
        change_id=change.change_id,
        issue_id=change.issue_id,
        body={"role": by.role.value, **body},
        run_id=by.run_id,
        signature=by.signature,
    )


def stepped(change: Change, step: Transition) -> Change:
    """Return the change after a transition."""
    return msgspec.structs.replace(
        change,
        state=step.to,
        stage=step.stage,
        since=step.at,
        deadline=step.deadline,
        version=change.version + 1,
    )


def told_stage(step: Transition) -> dict[str, int]:
    """Return what the ledger says of the stage: nothing while no user met the change."""
    return {"stage": step.stage} if step.stage else {}


def one_at_a_time(step: Transition, says: str) -> Refusal:
    """Return the refusal of a second rollout."""
    return Refusal(
        state=step.state,
        event=step.event,
        actor=step.actor,
        reason=f"{says}, and a service has one rollout at a time",
        missing=(Fact.NONE_IN_FLIGHT,),
    )


def why_not_opened(change: Change, fault: IntegrityError) -> str:
    """Name the rule of the table that a new change breaks."""
    constraint = constraint_of(fault)
    return {
        "one_active_change_per_issue": f"{change.issue_id} has an active change already.",
        "changes_pkey": f"{change.change_id} exists already.",
    }.get(constraint, f"{change.change_id} of {change.issue_id} cannot be opened: {constraint}")


def constraint_of(fault: IntegrityError) -> str:
    """Return the name of the rule that the database saw broken, "" when it has none."""
    return getattr(getattr(fault.orig, "diag", None), "constraint_name", None) or ""


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
