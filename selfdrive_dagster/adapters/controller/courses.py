"""Courses: what the ledger fixed of each rollout when it was staged, and what became of it since.

Whatever settings say by now: a rollout goes on with the commit and the plan that it began with.
Does not belong here: what is seen of it now.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from selfdrive_dagster.adapters.changes import Authority, Change
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.canary import Plan
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State

WHO = "selfdrive"
APPROVED = f"change.{Event.APPROVE.value}"
BUILT = f"change.{Event.BUILT.value}"
EXPOSED = f"change.{Event.EXPOSED.value}"
LET_GO_ON = (f"change.{Event.RESUME.value}", f"change.{Event.ADVANCE.value}")


class Course(NamedTuple):
    """A rollout: its commit and plan, and when it was staged and exposed, None if it was not.

    `begun` is when the stage began in which it stands or is held. `held_for` is the event that led
    to HOLD, "" elsewhere.
    """

    commit: str
    plan: Plan
    staged: datetime | None = None
    exposed: datetime | None = None
    begun: datetime | None = None
    held_for: str = ""


class Courses:
    """The courses of one ledger. `plan` is that of rollouts that begin now."""

    def __init__(self, ledger: Ledger, evidence: Evidence, plan: Plan) -> None:
        self._ledger = ledger
        self._evidence = evidence
        self.plan = plan
        self._known: dict[str, tuple[int, Course]] = {}

    def of(self, change: Change) -> Course:
        """Return a change's course. Raises BadInput where the ledger tells of none."""
        version, course = self._known.get(change.change_id, (0, None))
        if course is None or version != change.version:
            course = self._begun(change) or self._proposed(change)
            self._known[change.change_id] = change.version, course
        return course

    def by(self, change_id: str, role: Actor = Actor.CONTROLLER) -> Authority:
        """Return the authority under which we act on a change: the approval's signature."""
        return Authority(who=WHO, role=role, signature=self.signature_of(change_id))

    def signature_of(self, change_id: str) -> str:
        """Return the signature under which we act on a change, "" without one."""
        rows = self._ledger.find(APPROVED, change_id)
        return rows[0].entry.signature if rows else ""

    def _begun(self, change: Change) -> Course | None:
        """Return what was fixed when the change was staged, None before that."""
        rows = self._ledger.find(BUILT, change.change_id)
        if not rows or change.state in (State.AWAITING_APPROVAL, State.APPROVED):
            return None
        body = rows[0].entry.body
        try:
            plan = msgspec.convert(body["plan"], Plan)
            commit = str(body["commit"])
        except (KeyError, msgspec.ValidationError) as fault:
            told = f"Row {rows[0].seq} does not tell what {change.change_id} began with: {fault}."
            raise BadInput(told, remedy=f"selfdrive rollback {change.change_id}") from fault
        exposed = self._ledger.find(EXPOSED, change.change_id)
        moves = [row.entry for row in self._ledger.entries(change.change_id)]
        return Course(
            commit=commit,
            plan=plan,
            staged=rows[0].entry.at,
            exposed=exposed[0].entry.at if exposed else None,
            begun=begun_at(change, moves),
            held_for=held_for(change, moves),
        )

    def _proposed(self, change: Change) -> Course:
        rows = self._ledger.find(MADE, change.change_id, {"asset": "rollout/proposal"})
        if not rows:
            raise BadInput(f"{change.change_id} has no proposal that could be rolled out.")
        proposal = self._evidence.get(str(rows[0].entry.body["sha256"]), Proposal)
        return Course(commit=proposal.commit, plan=self.plan)


def begun_at(change: Change, moves: Sequence[Entry]) -> datetime | None:
    """Return when a change first came to its stage, None where no row tells; `moves` come in order.

    A hold and the return from it begin no stage. A person who lets it go on gives it time again.
    """
    state = State.CANARY if change.state is State.HOLD else change.state
    begun = None
    for move in moves:
        if move.kind in LET_GO_ON:
            begun = None
        there = (move.body.get("to"), move.body.get("stage")) == (state.value, change.stage)
        if there and begun is None:
            begun = move.at
    return begun


def held_for(change: Change, moves: Sequence[Entry]) -> str:
    """Return the event that led to HOLD, "" elsewhere."""
    if change.state is not State.HOLD:
        return ""
    led = [one.kind for one in moves if one.body.get("to") == State.HOLD.value]
    return led[-1].removeprefix("change.") if led else ""
