"""Steering: what a rollout does next, from where it stands and what is known of it now.

Pure: a sight goes in, at most one step comes out, and the lifecycle's table has the last word.
The share of users is a function of the state alone, so whoever starts again after a crash knows
at once what the traffic should be. Does not belong here: reading the world and acting on it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from selfdrive_dagster.rollout.canary import Judgement, Plan, Verdict
from selfdrive_dagster.rollout.lifecycle import ROLLING, Actor, Event, Fact, State
from selfdrive_dagster.rollout.traffic import Cause

TOLERANCE = 1e-6

ALONE = {
    Cause.LEASE: (Event.LEASE_LOST, Actor.GUARD),
    Cause.KILL_SWITCH: (Event.STOP, Actor.GUARD),
    Cause.CANARY: (Event.STOP, Actor.GUARD),
    Cause.FAULT: (Event.STOP, Actor.GUARD),
    Cause.COMMAND: (Event.ABORT, Actor.HUMAN),
    Cause.HARM: (Event.HARM, Actor.ANALYST),
}
"""Why traffic went back to stable without us, and the move that tells of it afterwards."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one rollout in one look. None and "" are "not known" and "nothing".

    `share` was read back from the proxy, `acknowledged` says that the proxy has taken up our
    last order. `returned` tells why traffic went back to stable before the state did, `held_for`
    the event that led to HOLD. `facts` were checked for this look.
    """

    state: State
    stage: int
    since: datetime
    share: float | None
    acknowledged: bool
    stable_healthy: bool | None
    canary_healthy: bool | None
    returned: Cause | None = None
    held_for: str = ""
    judgement: Judgement | None = None
    facts: frozenset[Fact] = frozenset()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One move to ask the lifecycle for, and why."""

    event: Event
    actor: Actor
    facts: frozenset[Fact]
    says: str


def share_of(state: State, stage: int, plan: Plan) -> float | None:
    """Return the share of users that a state stands for; None where it is left as it is."""
    if state is State.CANARY:
        return plan.stages[stage - 1].share
    if state is State.BAKING:
        return plan.bake_share
    return None if state is State.HOLD else 0.0


def steer(sight: Sight, plan: Plan, now: datetime) -> Step | None:
    """Return the next step of a rollout, None while there is nothing to do but to wait."""
    if sight.state in ROLLING and sight.returned is not None:
        event, actor = ALONE[sight.returned]
        return Step(event=event, actor=actor, facts=sight.facts, says=sight.returned.value)
    found, exposed = sight.judgement, (State.CANARY, State.HOLD, State.BAKING)
    if found is not None and found.verdict is Verdict.HARM and sight.state in exposed:
        return _step(sight, Event.HARM, Actor.ANALYST, found.reason)
    rule = RULES.get(sight.state)
    return rule(sight, plan, now) if rule else None


def _staged(sight: Sight, _plan: Plan, _now: datetime) -> Step | None:
    if sight.canary_healthy is False:
        return _step(sight, Event.STOP, Actor.GUARD, "the canary does not start")
    if not (sight.canary_healthy and sight.stable_healthy and _stands_at(sight, 0.0)):
        return None
    says = "canary and a fresh baseline are healthy"
    return _step(sight, Event.EXPOSED, Actor.CONTROLLER, says, Fact.WEIGHT_READ_BACK)


def _canary(sight: Sight, plan: Plan, now: datetime) -> Step | None:
    share = plan.stages[sight.stage - 1].share
    if drift := _drift(sight, share):
        return drift
    found = sight.judgement
    if found is None:
        return None
    if found.verdict is Verdict.SAFE and _stands_at(sight, share):
        return _step(sight, Event.SAFE, Actor.ANALYST, found.reason, Fact.WEIGHT_READ_BACK)
    return _still(sight, found, plan, now)


def _baking(sight: Sight, plan: Plan, now: datetime) -> Step | None:
    if drift := _drift(sight, plan.bake_share):
        return drift
    found = sight.judgement
    if found is None:
        return None
    if is_baked(sight, plan, now) and _stands_at(sight, plan.bake_share):
        says = f"{plan.bake_minutes:g} minutes without harm; {found.reason}"
        return _step(sight, Event.BAKED, Actor.CONTROLLER, says, Fact.WEIGHT_READ_BACK)
    return _still(sight, found, plan, now)


def is_baked(sight: Sight, plan: Plan, now: datetime) -> bool:
    """Say whether the bake is over and its evidence still says SAFE."""
    long = now - sight.since >= timedelta(minutes=plan.bake_minutes)
    return long and sight.judgement is not None and sight.judgement.verdict is Verdict.SAFE


def _hold(sight: Sight, _plan: Plan, _now: datetime) -> Step | None:
    found = sight.judgement
    if found is None or sight.held_for != Event.NO_DATA.value or found.verdict is Verdict.NO_DATA:
        return None
    return _step(sight, Event.DATA_BACK, Actor.ANALYST, found.reason, Fact.HELD_FOR_DATA)


def _rolling_back(sight: Sight, _plan: Plan, _now: datetime) -> Step | None:
    if not (_stands_at(sight, 0.0) and sight.stable_healthy):
        return None
    says = "the proxy serves stable alone, and stable is healthy"
    return _step(sight, Event.RESTORED, Actor.CONTROLLER, says, Fact.STABLE_ALONE)


def _rolled_back(sight: Sight, _plan: Plan, _now: datetime) -> Step | None:
    if Fact.REVERTED_OR_NEVER_MERGED not in sight.facts:
        return None
    return _step(sight, Event.REVERTED, Actor.CONTROLLER, "the product's branch is without it")


RULES: dict[State, Callable[[Sight, Plan, datetime], Step | None]] = {
    State.STAGED: _staged,
    State.CANARY: _canary,
    State.HOLD: _hold,
    State.BAKING: _baking,
    State.ROLLING_BACK: _rolling_back,
    State.ROLLED_BACK: _rolled_back,
}


def _still(sight: Sight, found: Judgement, plan: Plan, now: datetime) -> Step | None:
    """Hold where evidence is missing for longer than it needs, or where it takes too long."""
    here = now - sight.since
    patience = timedelta(seconds=plan.window_seconds * plan.patience_windows)
    if found.verdict is Verdict.NO_DATA and here > patience:
        return _step(sight, Event.NO_DATA, Actor.ANALYST, found.reason)
    if found.verdict is Verdict.INCONCLUSIVE and here > timedelta(minutes=plan.longest_minutes):
        return _step(sight, Event.STALLED, Actor.ANALYST, found.reason)
    return None


def _drift(sight: Sight, wanted: float) -> Step | None:
    """Hold where the proxy took our order up and yet serves another share."""
    if sight.share is None or not sight.acknowledged or _stands_at(sight, wanted):
        return None
    says = f"the proxy serves {sight.share:.2%} where {wanted:.2%} was ordered"
    return _step(sight, Event.DRIFT, Actor.GUARD, says)


def _stands_at(sight: Sight, share: float) -> bool:
    """Say whether the proxy serves this share, on our last order."""
    return sight.acknowledged and sight.share is not None and abs(sight.share - share) < TOLERANCE


def _step(sight: Sight, event: Event, actor: Actor, says: str, *known: Fact) -> Step:
    return Step(event=event, actor=actor, facts=sight.facts | set(known), says=says)
