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

DRIFT_PATIENCE = timedelta(seconds=5)
"""So long may the proxy take to serve what the front has taken up."""

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

    `share` was read back from the proxy just now, `ordered` is what it should be by our last order,
    `acknowledged` says that the front has taken that up, `drifts_since` how long the two have
    differed. `is_without` tells whether the
    stable that is served has nothing of the change, `is_out` the same of the product's branch;
    `is_merged` that we put it there, `is_everywhere` that the stable that is served is what we put.
    `since` is when it came to its state, `begun` when its stage began, whatever held it then.
    `returned` tells why traffic went back to stable before the state did, `stopped` that the kill
    switch is thrown, `held_for` the event that led to HOLD. Without a `judgement`, `blind` says
    why there is none; `damaged`, that there will be none.
    """

    state: State
    stage: int
    since: datetime
    begun: datetime
    deadline: datetime | None = None
    share: float | None = None
    ordered: float | None = None
    acknowledged: bool = False
    drifts_since: datetime | None = None
    stable_healthy: bool | None = None
    canary_healthy: bool | None = None
    is_without: bool | None = None
    is_out: bool | None = None
    is_merged: bool = False
    is_everywhere: bool | None = None
    returned: Cause | None = None
    stopped: bool = False
    held_for: str = ""
    judgement: Judgement | None = None
    blind: str = ""
    damaged: bool = False

    @property
    def is_harm(self) -> bool:
        """Whether the evidence says that users are harmed who may still meet the change."""
        return is_harm(self.state, self.judgement)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One move to ask the lifecycle for, and why."""

    event: Event
    actor: Actor
    facts: frozenset[Fact]
    says: str


def is_harm(state: State, found: Judgement | None) -> bool:
    """Say whether evidence tells of harm to users who may still meet the change."""
    exposed = state in (State.CANARY, State.HOLD, State.BAKING)
    return exposed and found is not None and found.verdict is Verdict.HARM


def share_of(state: State, stage: int, plan: Plan) -> float | None:
    """Return the share of users that a state stands for; None where it is left as it is."""
    if state is State.CANARY:
        return plan.stages[stage - 1].share
    if state is State.BAKING:
        return plan.bake_share
    return None if state is State.HOLD else 0.0


def steer(sight: Sight, plan: Plan, now: datetime) -> Step | None:
    """Return the next step of a rollout, None while there is nothing to do but to wait.

    Back before forward: harm, what was returned already, the kill switch, lost evidence, silence.
    """
    if sight.state in ROLLING and (back := _back(sight)):
        return back
    if sight.deadline is not None and now >= sight.deadline and sight.state in TIMED:
        return _step(Event.DEADLINE, Actor.GUARD, f"its time in {sight.state.value} is over")
    rule = RULES.get(sight.state)
    return rule(sight, plan, now) if rule else None


def _back(sight: Sight) -> Step | None:
    if sight.is_harm and sight.judgement is not None:
        return _step(Event.HARM, Actor.ANALYST, sight.judgement.reason)
    if sight.returned is not None:
        seen = sight.judgement is not None
        cause = sight.returned
        event, actor = ALONE[cause if seen or cause is not Cause.HARM else Cause.FAULT]
        return _step(event, actor, f"traffic went back to stable: {cause.value}")
    if sight.stopped:
        return _step(Event.STOP, Actor.GUARD, "the kill switch is thrown")
    if sight.damaged:
        return _step(Event.STOP, Actor.GUARD, sight.blind)
    return None


def _staged(sight: Sight, _plan: Plan, _now: datetime) -> Step | None:
    if not (sight.canary_healthy and sight.stable_healthy and _stands_at(sight, 0.0)):
        return None
    says = "canary and a fresh baseline are healthy"
    return _step(Event.EXPOSED, Actor.CONTROLLER, says, Fact.WEIGHT_READ_BACK)


def _canary(sight: Sight, plan: Plan, now: datetime) -> Step | None:
    share = plan.stages[sight.stage - 1].share
    if drift := _drift(sight, now):
        return drift
    found = sight.judgement
    if found and found.verdict is Verdict.SAFE and _stands_at(sight, share):
        return _step(Event.SAFE, Actor.ANALYST, found.reason, Fact.WEIGHT_READ_BACK)
    return _still(sight, plan, now)


def _baking(sight: Sight, plan: Plan, now: datetime) -> Step | None:
    if sight.is_merged:
        return _merged(sight)
    if drift := _drift(sight, now):
        return drift
    found = sight.judgement
    if found and is_baked(sight, plan, now) and _stands_at(sight, plan.bake_share):
        says = f"{plan.bake_minutes:g} minutes without harm; {found.reason}"
        return _step(Event.BAKED, Actor.CONTROLLER, says, Fact.WEIGHT_READ_BACK)
    return _still(sight, plan, now)


def _merged(sight: Sight) -> Step | None:
    """The product's branch has it: it counts as promoted once the proxy shows it to everybody."""
    if not (_stands_at(sight, 0.0) and sight.stable_healthy and sight.is_everywhere):
        return None
    says = "merged, and the proxy serves it to everybody, alone and healthy"
    return _step(Event.BAKED, Actor.CONTROLLER, says, Fact.WEIGHT_READ_BACK, Fact.SERVED_TO_ALL)


def is_baked(sight: Sight, plan: Plan, now: datetime) -> bool:
    """Say whether the bake is over and its evidence still says SAFE."""
    long = now - sight.since >= timedelta(minutes=plan.bake_minutes)
    return long and sight.judgement is not None and sight.judgement.verdict is Verdict.SAFE


def _hold(sight: Sight, plan: Plan, now: datetime) -> Step | None:
    """Go on once data is back; where the stage has had its time, only if they say SAFE."""
    found = sight.judgement
    if found is None or sight.held_for != Event.NO_DATA.value or found.verdict is Verdict.NO_DATA:
        return None
    if _has_had_its_time(sight, plan, now) and found.verdict is not Verdict.SAFE:
        return None
    return _step(Event.DATA_BACK, Actor.ANALYST, found.reason, Fact.HELD_FOR_DATA)


def _rolling_back(sight: Sight, _plan: Plan, _now: datetime) -> Step | None:
    if not (_stands_at(sight, 0.0) and sight.stable_healthy and sight.is_without):
        return None
    says = "the proxy serves a stable without the change, alone, and it is healthy"
    return _step(Event.RESTORED, Actor.CONTROLLER, says, Fact.STABLE_ALONE)


def _rolled_back(sight: Sight, _plan: Plan, _now: datetime) -> Step | None:
    if not sight.is_out:
        return None
    says = "the product's branch is without it"
    return _step(Event.REVERTED, Actor.CONTROLLER, says, Fact.REVERTED_OR_NEVER_MERGED)


def _promoted(sight: Sight, _plan: Plan, _now: datetime) -> Step | None:
    """Back where a person took the traffic back while nobody looked. Nothing judges it any more."""
    if sight.returned is not Cause.COMMAND:
        return None
    return _step(*ALONE[Cause.COMMAND], "traffic went back to the revision before, by command")


RULES: dict[State, Callable[[Sight, Plan, datetime], Step | None]] = {
    State.STAGED: _staged,
    State.CANARY: _canary,
    State.HOLD: _hold,
    State.BAKING: _baking,
    State.ROLLING_BACK: _rolling_back,
    State.ROLLED_BACK: _rolled_back,
    State.PROMOTED: _promoted,
}

TIMED = frozenset(RULES) - {State.PROMOTED}
"""Whose deadlines are kept here; a promoted change waits for its outcome, which others weigh."""


def _still(sight: Sight, plan: Plan, now: datetime) -> Step | None:
    """Hold where evidence is missing for longer than it needs, or where it takes too long.

    Data that came back are given the time again that they need to come. The stage is not.
    """
    here, found = now - sight.since, sight.judgement
    patience = timedelta(seconds=plan.window_seconds * plan.patience_windows)
    if (found is None or found.verdict is Verdict.NO_DATA) and here > patience:
        return _step(Event.NO_DATA, Actor.ANALYST, found.reason if found else sight.blind)
    slow = found is not None and found.verdict is Verdict.INCONCLUSIVE
    if found and slow and _has_had_its_time(sight, plan, now):
        return _step(Event.STALLED, Actor.ANALYST, found.reason)
    return None


def _has_had_its_time(sight: Sight, plan: Plan, now: datetime) -> bool:
    return now - sight.begun > timedelta(minutes=plan.longest_minutes)


def _drift(sight: Sight, now: datetime) -> Step | None:
    """Hold where the front took our order up and the proxy yet goes on with another share."""
    lasts = sight.drifts_since is not None and now - sight.drifts_since >= DRIFT_PATIENCE
    if not lasts or not differs(sight):
        return None
    says = f"the proxy serves {sight.share:.2%} where {sight.ordered:.2%} was ordered"
    return _step(Event.DRIFT, Actor.GUARD, says)


def differs(sight: Sight) -> bool:
    """Say whether the proxy serves another share than was ordered and taken up."""
    known = sight.ordered is not None and sight.share is not None and sight.acknowledged
    return known and not _stands_at(sight, sight.ordered or 0.0)


def _stands_at(sight: Sight, share: float) -> bool:
    """Say whether the proxy serves this share, on our last order."""
    return sight.acknowledged and sight.share is not None and abs(sight.share - share) < TOLERANCE


def _step(event: Event, actor: Actor, says: str, *known: Fact) -> Step:
    return Step(event=event, actor=actor, facts=frozenset(known), says=says)
