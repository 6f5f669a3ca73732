"""Carry out an approval: the waiting decision, its signature checked, and the move it asks for.

A decision that does not hold is set aside with a ledger row that says why, and the run fails with
the same words. Does not belong here: what holds (`adapters.approving`).
"""

from datetime import UTC, datetime

from selfdrive_dagster.adapters.decisions import Decision
from selfdrive_dagster.adapters.outside import SIGNED, is_left_to_others, set_aside
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import digest
from selfdrive_dagster.orchestration.stages import Bench, Move
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout.approval import Approval
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact
from selfdrive_dagster.validation import Proof

APPROVE = "approve"
KNOWN = frozenset({Fact.SIGNATURE_VERIFIED, Fact.REASON_GIVEN})


def approved(bench: Bench, proof: Proof) -> tuple[Approval, Move]:
    """Return the approval that waits for this change, checked now, and the move that follows.

    `proof` is the report that this run pinned: the signature must be over that one. Raises
    Refused, once the decision is set aside.
    """
    decision, now = decided(bench), datetime.now(UTC)
    try:
        found = bench.workshop.approvals().examine(decision, now)
        refuse_another(proof, found)
    except (Refused, BadInput) as fault:
        by = bench.authority(Actor.HUMAN)
        set_aside(decision, bench.workshop.engine, fault.message, by=by, now=now)
        raise
    return found, Move(SIGNED[APPROVE], Event.APPROVE, Actor.HUMAN, KNOWN, decision)


def refuse_another(proof: Proof, found: Approval) -> None:
    """Refuse a report that the run read and nobody signed."""
    if found.binding.report != digest(proof):
        raise Refused("The run reads another report than the one that was signed.")


def decided(bench: Bench) -> Decision:
    """Return the oldest approval that waits for this change. Raises Refused when none does."""
    now = datetime.now(UTC)
    waiting = (one for one in to_approve(bench.workshop, now) if one.change_id == bench.change_id)
    if (found := next(waiting, None)) is None:
        raise Refused(
            f"No approval waits for {bench.change_id}: a run alone approves nothing.",
            remedy=f"selfdrive approve {bench.change_id}",
        )
    return found


def to_approve(workshop: Workshop, now: datetime) -> tuple[Decision, ...]:
    """Return the approvals that wait and can be carried out, oldest first."""
    return tuple(
        one
        for one in workshop.decisions.waiting()
        if one.verdict == APPROVE and is_left_to_others(one, workshop.changes, now)
    )
