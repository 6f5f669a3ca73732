"""Steering: named sights with the step that follows, and what no sight may ever lead to."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as draw
from msgspec.structs import replace

from selfdrive_dagster.rollout.canary import Arms, Guardrail, Judgement, Plan, Stage, Verdict
from selfdrive_dagster.rollout.lifecycle import (
    DEADLINES,
    ROLLING,
    Event,
    Fact,
    State,
    Transition,
    advance,
)
from selfdrive_dagster.rollout.steering import DRIFT_PATIENCE, Sight, share_of, steer
from selfdrive_dagster.rollout.traffic import Cause

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PLAN = Plan(
    stages=(Stage(share=0.1, margin=3.0), Stage(share=0.5, margin=2.0)),
    bake_minutes=10.0,
    guardrails=(Guardrail("errors"),),
    longest_minutes=60.0,
)
SOON, LONG_AGO = NOW - timedelta(seconds=30), NOW - timedelta(hours=2)
DRIFTED = NOW - DRIFT_PATIENCE


def judged(verdict: Verdict) -> Judgement:
    return Judgement(
        verdict=verdict, reason=f"it is {verdict.value}", at=NOW, share=0.1, exposed=Arms(50, 450),
        windows=5, log_ratio=0.0, log_harm_threshold=3.0, log_safe_threshold=3.0, readings=(),
    )  # fmt: skip


SAFE, HARM, UNSURE, NOTHING = map(
    judged, (Verdict.SAFE, Verdict.HARM, Verdict.INCONCLUSIVE, Verdict.NO_DATA)
)


def at(state: State, share: float | None, **more: Any) -> Sight:
    """A rollout in its first stage, since half a minute, everything well and read back."""
    usual = {
        "stage": 1,
        "since": SOON,
        "begun": SOON,
        "ordered": share,
        "acknowledged": True,
        "stable_healthy": True,
    }
    return Sight(state=state, share=share, **{**usual, "canary_healthy": True, **more})


CANARY = at(State.CANARY, 0.1)
HELD = at(State.HOLD, 0.1, held_for="no_data")
BAKED = at(State.BAKING, 0.95, stage=2, since=NOW - timedelta(minutes=10))
MERGED = replace(BAKED, share=0.0, ordered=0.0, is_merged=True, is_everywhere=True, judgement=SAFE)
BACK = at(State.ROLLING_BACK, 0.0, is_without=True)
STAGED = at(State.STAGED, 0.0, stage=0)

STEPS = {
    "both healthy": (STAGED, Event.EXPOSED),
    "no canary seen yet": (replace(STAGED, canary_healthy=None), None),
    "a sick canary is left to the front": (replace(STAGED, canary_healthy=False), None),
    "a sick baseline": (replace(STAGED, stable_healthy=False), None),
    "a proxy that does not answer": (replace(STAGED, share=None), None),
    "an order not taken up": (replace(STAGED, acknowledged=False), None),
    "staged, and the kill switch": (replace(STAGED, stopped=True), Event.STOP),
    "safe": (replace(CANARY, judgement=SAFE), Event.SAFE),
    "safe at another share": (replace(CANARY, judgement=SAFE, share=0.05), None),
    "safe, and nobody reads the weight": (replace(CANARY, judgement=SAFE, share=None), None),
    "safe, and an old order": (replace(CANARY, judgement=SAFE, acknowledged=False), None),
    "harm": (replace(CANARY, judgement=HARM), Event.HARM),
    "harm while held": (replace(HELD, judgement=HARM), Event.HARM),
    "harm in the bake": (replace(BAKED, judgement=HARM), Event.HARM),
    "harm past the deadline": (replace(CANARY, judgement=HARM, deadline=SOON), Event.HARM),
    "unsure": (replace(CANARY, judgement=UNSURE), None),
    "unsure for too long": (replace(CANARY, judgement=UNSURE, begun=LONG_AGO), Event.STALLED),
    "unsure since the bake began": (
        replace(BAKED, judgement=UNSURE, begun=LONG_AGO),
        Event.STALLED,
    ),
    "safe at last": (replace(CANARY, judgement=SAFE, begun=LONG_AGO), Event.SAFE),
    "a moment without data in an old stage": (
        replace(CANARY, judgement=NOTHING, begun=LONG_AGO),
        None,
    ),
    "no data yet": (replace(CANARY, judgement=NOTHING), None),
    "no data for too long": (replace(CANARY, judgement=NOTHING, since=LONG_AGO), Event.NO_DATA),
    "blind for a moment": (replace(CANARY, blind="no disk"), None),
    "blind for too long": (replace(CANARY, blind="no disk", since=LONG_AGO), Event.NO_DATA),
    "damaged evidence": (replace(CANARY, blind="line 3", damaged=True), Event.STOP),
    "another share for a moment": (replace(CANARY, share=0.0, drifts_since=NOW), None),
    "another share for long": (replace(CANARY, share=0.5, drifts_since=DRIFTED), Event.DRIFT),
    "drift while it is safe": (
        replace(CANARY, share=0.5, drifts_since=DRIFTED, judgement=SAFE),
        Event.DRIFT,
    ),
    "the kill switch": (replace(CANARY, stopped=True, judgement=SAFE), Event.STOP),
    "the lease ran out": (replace(CANARY, returned=Cause.LEASE), Event.LEASE_LOST),
    "somebody called it back": (replace(HELD, returned=Cause.COMMAND), Event.ABORT),
    "the canary died": (replace(CANARY, returned=Cause.CANARY), Event.STOP),
    "harm without the database": (
        replace(CANARY, returned=Cause.HARM, judgement=SAFE),
        Event.HARM,
    ),
    "the same, its evidence lost": (replace(CANARY, returned=Cause.HARM), Event.STOP),
    "data is back": (replace(HELD, judgement=UNSURE), Event.DATA_BACK),
    "data is not back": (replace(HELD, judgement=NOTHING), None),
    "data is back when the stage has had its time": (
        replace(HELD, judgement=UNSURE, begun=LONG_AGO),
        None,
    ),
    "data is back then, and safe": (
        replace(HELD, judgement=SAFE, begun=LONG_AGO),
        Event.DATA_BACK,
    ),
    "held, and blind": (replace(HELD, blind="no disk"), None),
    "held by a person": (replace(HELD, judgement=SAFE, held_for="pause"), None),
    "held for too long": (replace(HELD, judgement=SAFE, deadline=NOW), Event.DEADLINE),
    "baked": (replace(BAKED, judgement=SAFE), Event.BAKED),
    "baked, and unsure": (replace(BAKED, judgement=UNSURE), None),
    "baked, at another share": (replace(BAKED, judgement=SAFE, share=0.5), None),
    "not long enough": (replace(BAKED, judgement=SAFE, since=SOON), None),
    "merged, and served to all": (MERGED, Event.BAKED),
    "merged, the old stable served": (replace(MERGED, is_everywhere=False), None),
    "merged, nobody knows what is served": (replace(MERGED, is_everywhere=None), None),
    "merged, and an old order": (replace(MERGED, acknowledged=False), None),
    "merged, and sick": (replace(MERGED, stable_healthy=False), None),
    "merged, and the canary goes on": (replace(MERGED, share=0.95), None),
    "merged, and the kill switch": (replace(MERGED, stopped=True), Event.STOP),
    "merged, and harm": (replace(MERGED, judgement=HARM), Event.HARM),
    "merged, and taken back": (replace(MERGED, returned=Cause.COMMAND), Event.ABORT),
    "back": (BACK, Event.RESTORED),
    "back, the change still served": (replace(BACK, is_without=False), None),
    "back, nobody knows what is served": (replace(BACK, is_without=None), None),
    "back, an old order": (replace(BACK, acknowledged=False), None),
    "back, stable is down": (replace(BACK, stable_healthy=False), None),
    "out of the branch": (at(State.ROLLED_BACK, 0.0, is_out=True), Event.REVERTED),
    "still in the branch": (at(State.ROLLED_BACK, 0.0, is_out=False), None),
    "who knows what is in the branch": (at(State.ROLLED_BACK, 0.0), None),
    "promoted": (at(State.PROMOTED, 0.0, judgement=SAFE, deadline=SOON), None),
    "promoted, and taken back": (at(State.PROMOTED, 0.0, returned=Cause.COMMAND), Event.ABORT),
    "promoted, after its lease": (at(State.PROMOTED, 0.0, returned=Cause.LEASE), None),
    "not staged": (at(State.APPROVED, 0.0, judgement=SAFE, stopped=True), None),
}


@pytest.mark.parametrize("name", STEPS)
def test_what_follows(name: str) -> None:
    sight, expected = STEPS[name]
    step = steer(sight, PLAN, NOW)
    assert (step.event if step else None) is expected


def test_a_state_says_what_the_traffic_should_be() -> None:
    told = [share_of(state, 2, PLAN) for state in (State.CANARY, State.BAKING, State.HOLD)]
    assert told == [0.5, PLAN.bake_share, None]
    others = set(State) - {State.CANARY, State.BAKING, State.HOLD}
    assert {share_of(state, 2, PLAN) for state in others} == {0.0}


MINUTE = timedelta(minutes=1)
FLAPS = {
    "by chance": lambda chance, _sight: chance.choice([UNSURE, NOTHING, None]),
    "never unsure but in a hold": (
        lambda _chance, sight: UNSURE if sight.state is State.HOLD else NOTHING
    ),
    "seldom": lambda chance, _sight: NOTHING if chance.random() < 0.02 else UNSURE,
}


@pytest.mark.parametrize("begin", [CANARY, BAKED], ids=["in a stage", "in the bake"])
@pytest.mark.parametrize("name", FLAPS)
def test_data_that_come_and_go_give_a_stage_no_more_time(name: str, begin: Sight) -> None:
    """Held for good soon after its time is over, and sent back a day later, whatever flaps."""
    chance, now = random.Random(1), NOW
    sight = replace(begin, since=NOW, begun=NOW, deadline=NOW + DEADLINES[begin.state].after)
    entered = {(State.CANARY, begin.stage): NOW, (begin.state, begin.stage): NOW}
    while sight.state is not State.ROLLING_BACK:
        now += MINUTE
        assert now < NOW + timedelta(hours=25, minutes=30), f"still {sight.state.value}"
        sight = replace(sight, judgement=FLAPS[name](chance, sight), blind="no disk")
        step = steer(sight, PLAN, now)
        if step is None:
            continue
        told = advance(
            sight.state, step.event, step.actor, facts=frozenset(Fact), now=now,
            deadline=sight.deadline, stage=sight.stage, stages=2,
        )  # fmt: skip
        assert isinstance(told, Transition), told
        led = State.CANARY if told.to is State.HOLD else told.to
        sight = replace(
            sight, state=told.to, since=now, deadline=told.deadline, held_for=step.event.value,
            begun=entered.get((led, sight.stage), now),
        )  # fmt: skip


MAYBE = draw.none() | draw.booleans()
TIMES = draw.sampled_from([NOW, SOON, LONG_AGO])
SIGHTS = draw.builds(
    Sight,
    state=draw.sampled_from(sorted(DEADLINES, key=lambda one: one.value)),
    stage=draw.integers(1, 2),
    since=TIMES,
    begun=TIMES,
    deadline=draw.none() | TIMES,
    share=draw.none() | draw.sampled_from([0.0, 0.1, 0.5, 0.95]),
    ordered=draw.sampled_from([0.0, 0.1, 0.5, 0.95]),
    acknowledged=draw.booleans(),
    drifts_since=draw.none() | TIMES,
    stable_healthy=MAYBE,
    canary_healthy=MAYBE,
    is_merged=draw.booleans(),
    is_everywhere=MAYBE,
    is_without=MAYBE,
    is_out=MAYBE,
    returned=draw.none() | draw.sampled_from(Cause),
    stopped=draw.booleans(),
    held_for=draw.sampled_from(["", "no_data", "pause", "drift"]),
    judgement=draw.none() | draw.sampled_from([SAFE, HARM, UNSURE, NOTHING]),
    blind=draw.sampled_from(["", "no disk"]),
    damaged=draw.booleans(),
)
FORWARD = (Event.EXPOSED, Event.SAFE, Event.BAKED)


@given(SIGHTS)
def test_whatever_is_seen_unknown_never_goes_forward(sight: Sight) -> None:
    step = steer(sight, PLAN, NOW)
    if step is None:
        return
    told = advance(
        sight.state,
        step.event,
        step.actor,
        facts=frozenset(Fact),
        now=NOW,
        deadline=sight.deadline,
        stage=sight.stage if sight.state is not State.STAGED else 0,
        stages=2,
    )
    assert isinstance(told, Transition), told  # steering asks for nothing that nobody may
    if step.event in FORWARD:
        assert sight.share is not None and sight.acknowledged
        assert not (sight.stopped or sight.returned or sight.damaged)
        assert sight.stable_healthy or sight.state is not State.STAGED
        if step.event is Event.BAKED and sight.is_merged:  # it was safe when it was merged
            assert sight.is_everywhere and sight.stable_healthy and sight.share == 0.0
            return
        assert step.event is Event.EXPOSED or sight.judgement is SAFE
        return
    before, after = (share_of(*one, PLAN) for one in (
        (sight.state, sight.stage), (told.to, told.stage),
    ))  # fmt: skip
    assert told.stage <= sight.stage
    assert after is None or before is None or after <= before
    if sight.state in ROLLING and (sight.is_harm or sight.returned or sight.stopped):
        assert told.to is State.ROLLING_BACK
