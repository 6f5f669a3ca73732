"""Earlier attempts at an issue: how each came back from users, and whether its patch is barred.

What did harm, crashed or regressed is not tried again. What a person called back, or what lost
its lease or its time, is told on the next page and may be proposed again: it says nothing, or
nothing proven, against the patch. Does not belong here: what the same patch is
(`patches.earlier`).
"""

from typing import NamedTuple

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.controller.journal import RETURNED
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.audit.outcome import Outcome, OutcomeKind
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.patches.earlier import Earlier
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.lifecycle import Event, State
from selfdrive_dagster.rollout.traffic import Cause


class Ending(NamedTuple):
    """A way back from users: the move that began it, and why traffic went, None for any reason."""

    event: Event
    cause: Cause | None
    words: str
    bars: bool


ENDINGS = (
    Ending(Event.HARM, None, "did harm and was rolled back", True),
    Ending(Event.STOP, Cause.CANARY, "crashed and was rolled back", True),
    Ending(Event.STOP, None, "was stopped and rolled back", False),
    Ending(Event.ABORT, None, "was called back", False),
    Ending(Event.LEASE_LOST, None, "was rolled back when its lease ran out", False),
    Ending(Event.DEADLINE, None, "was rolled back when its time was over", False),
)
"""The first that fits tells how a change came back."""


def earlier_of(workshop: Workshop, change: Change) -> tuple[Earlier, ...]:
    """Return the earlier changes of the same issue that came back or did not hold."""
    others = (one for one in workshop.changes.all() if one.issue_id == change.issue_id)
    found = (
        ended_badly(workshop, one.change_id) for one in others if one.change_id != change.change_id
    )
    return tuple(one for one in found if one is not None)


def ended_badly(workshop: Workshop, change_id: str) -> Earlier | None:
    """Return how a change came back from users, or that its issue was met again on it."""
    return taken_back(workshop, change_id) or regressed(workshop, change_id)


def taken_back(workshop: Workshop, change_id: str) -> Earlier | None:
    """Return how a change was rolled back, None where it never was."""
    to = State.ROLLING_BACK.value
    moves = (row.entry for row in workshop.ledger.entries(change_id))
    back = (one for one in moves if one.body.get("to") == to != one.body.get("from"))
    if (first := next(back, None)) is None:
        return None
    event = first.kind.removeprefix("change.")
    told = workshop.ledger.find(RETURNED, change_id, limit=1_000)
    causes = {None, *(Cause(row.entry.body["cause"]) for row in told)}
    how = next(one for one in ENDINGS if one.event.value == event and one.cause in causes)
    return drawn(workshop, change_id, how.words, why(first), bars=how.bars)


def why(move: Entry) -> str:
    """Return why a change was rolled back, and by which person if one said so."""
    reason = str(move.body.get("says") or move.body.get("reason") or "its time was over")
    return f"{move.actor}: {reason}" if move.body.get("reason") else reason


def regressed(workshop: Workshop, change_id: str) -> Earlier | None:
    """Return that the issue was met again on a change that users had, None where it was not."""
    rows = workshop.ledger.find(MADE, change_id, {"asset": "audit/outcome"})
    outcome = workshop.evidence.get(str(rows[0].entry.body["sha256"]), Outcome) if rows else None
    if outcome is None or outcome.kind is not OutcomeKind.REGRESSED:
        return None
    return drawn(workshop, change_id, "regressed", outcome.reason, bars=True)


def drawn(workshop: Workshop, change_id: str, ended: str, because: str, *, bars: bool) -> Earlier:
    """Return an attempt with the patch that was proposed."""
    put = workshop.ledger.find(MADE, change_id, {"asset": "rollout/proposal"})
    proposal = workshop.evidence.get(str(put[0].entry.body["sha256"]), Proposal) if put else None
    patch = (proposal.patch or "") if proposal else ""
    return Earlier(change_id=change_id, ended=ended, because=because, patch=patch, bars=bars)
