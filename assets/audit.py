"""Audit: did it help? The outcome of a change that others released, after its soak."""

from datetime import UTC, datetime

from selfdrive_dagster.orchestration import pages
from selfdrive_dagster.orchestration.observing import weigh
from selfdrive_dagster.orchestration.stages import Bench, Made, Move, change_asset
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State


@change_asset(reads={"proposal": ("rollout/proposal", Proposal)}, kinds={"duckdb"}, version="1")
def outcome(bench: Bench, proposal: Proposal) -> Made:
    """Is the issue gone: sessions before the release and on it, and what their silence says."""
    change = bench.change()
    found = weigh(bench.workshop, change, proposal.claim, datetime.now(UTC))
    known = frozenset({Fact.OUTCOME_RECORDED})
    at = State.PROMOTED if change.state is State.PROMOTED else State.OBSERVING
    move = Move(at, Event.SOAKED, Actor.ANALYST, known)
    return Made(found, pages.of_outcome(found), move)
