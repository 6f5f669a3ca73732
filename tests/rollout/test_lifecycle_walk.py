"""The lifecycle in a world that fails: in 150,000 steps nothing forbidden happens.

What must never happen stands here as plain functions; `fakes.made_rollouts` is the world.
"""

from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from fakes.made_rollouts import SHARES, STAGES, Stored, World

from selfdrive_dagster.rollout.lifecycle import (
    DEADLINES,
    DOWN,
    ENDS,
    IN_FLIGHT,
    ROLLING,
    RULES,
    TIMELESS,
    Actor,
    Event,
    Fact,
    Refusal,
    State,
    Transition,
    advance,
)

SEEDS = range(1, 6)
STEPS = 30_000
"""Per seed."""

CLIMBS = {rule.event for rule in RULES if rule.climbs}
PLAIN_DOWN = {(event, actor) for event, actor, needs in DOWN if not needs}


def watch(world: World, change: Stored, step: Transition | Refusal, facts: frozenset[Fact]) -> None:
    """Look at each answer of the lifecycle before it is written."""
    if isinstance(step, Refusal):
        look_at_refusal(change, step, facts)
    else:
        look_at_move(world, change, step, facts)


def look_at(world: World) -> None:
    """Check the world as it stands."""
    for service, proxy in enumerate(world.proxies):
        flies = world.in_flight(service)
        rolls = [one for one in flies if one.state in ROLLING]
        assert len(rolls) <= 1, "one rollout per service"
        if proxy.share:
            owner = next(one for one in world.changes if one.number == proxy.owner)
            meets = owner.state in (*IN_FLIGHT, State.PROMOTED)
            assert meets or (owner.promoted and owner.state is State.LEARNED), "nobody else"
            assert owner.approved, "nobody meets a change without approval"


def look_at_move(world: World, change: Stored, step: Transition, facts: frozenset[Fact]) -> None:
    """Check one move before it is written."""
    was, to, event = change.state, step.to, step.event
    assert was not in ENDS, "nothing leaves an end"
    assert (step.deadline is None) == (to in ENDS), "every state but an end has a deadline"
    assert step.deadline is None or step.deadline > world.now
    if event is Event.DEADLINE:
        assert world.now >= change.deadline, "the clock does not run ahead of itself"
        assert cap(to, step.stage) <= cap(was, change.stage), "silence raises nothing"
    elif event not in TIMELESS:
        assert world.now < change.deadline, "a late yes does not overtake the clock"
    look_at_exposure(world, change, step, facts)
    if to in (*IN_FLIGHT, State.PROMOTED):
        assert change.approved, "the approval of what was validated last"
    if to is State.ROLLED_BACK and was is not to:
        assert world.exposed(change.service) == 0.0, "weight 0 was observed"
    if to is State.LEARNED and was is State.ROLLED_BACK:
        assert not change.merged, "what came back was reverted, or never merged"
    if to in ROLLING:
        look_at_way_back(step)


def look_at_exposure(
    world: World, change: Stored, step: Transition, facts: frozenset[Fact]
) -> None:
    """Up one stage, for a reason; down in one jump."""
    climbed = step.stage - change.stage
    assert climbed in (0, 1), "one stage at a time"
    rises = climbed or (step.to is State.BAKING and step.state is not State.BAKING)
    if rises or step.to is State.PROMOTED:
        assert step.event in (*CLIMBS, Event.BAKED), "only these raise exposure"
        assert not world.stopped, "the kill switch holds"
        assert world.now < world.proxies[change.service].lease_until, "the lease is held"
        assert world.reads_back(change), "the weight before was the real one"
        assert Fact.APPROVAL_HOLDS in facts, "of what was approved"
        assert Fact.BREAKER_CLOSED in facts, "the breaker is closed"
    if (rises and step.event is Event.SAFE) or step.event is Event.BAKED:
        assert not world.gap, "missing data is never success"
    if step.event is Event.ADVANCE:
        assert step.actor is Actor.OPERATOR, "weak evidence is a person's to accept"
        assert Fact.SIGNATURE_VERIFIED in facts, "signed"
    if climbed:
        assert step.to is State.CANARY, "climbing leads to users"
    if step.to is State.BAKING:
        assert step.stage == STAGES, "the whole plan was climbed"


def look_at_way_back(step: Transition) -> None:
    """From each state that users may meet, each way down leads back, however late it is."""
    assert step.deadline is not None
    for event, actor, needs in DOWN:
        back = advance(
            step.to,
            event,
            actor,
            facts=frozenset(needs),
            now=step.deadline + timedelta(days=400),
            deadline=step.deadline,
            stage=step.stage,
        )
        assert isinstance(back, Transition), f"{event.value} was refused: {back.reason}"
        assert (back.to, back.stage) == (State.ROLLING_BACK, step.stage)


def look_at_refusal(change: Stored, step: Refusal, facts: frozenset[Fact]) -> None:
    """A refusal has a reason, and misses only what is not known."""
    assert step.reason
    assert not facts.intersection(step.missing)
    if change.state in ROLLING and (step.event, step.actor) in PLAIN_DOWN:
        raise AssertionError(f"{step.event.value} was refused: {step.reason}")


def cap(state: State, stage: int) -> float:
    """The most that may be set for a change in a state: nothing in HOLD, which keeps what is."""
    if state in (State.PROMOTED, State.BAKING):
        return 1.0
    return SHARES[max(stage, 1) - 1] if state in (State.STAGED, State.CANARY) else 0.0


def walked(seed: int) -> World:
    """Walk, and name the seed with the last moves when something forbidden happened."""
    world = World(Random(seed), watch)
    for number in range(STEPS):
        try:
            world.step()
            look_at(world)
        except AssertionError as fault:
            last = "\n  ".join(world.told)
            pytest.fail(f"seed {seed}, step {number}: {fault}\n  {last}")
    return world


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [walked(seed) for seed in SEEDS]


def test_nothing_forbidden_happens_and_every_line_of_the_table_is_walked(worlds) -> None:
    fired = sum((world.fired for world in worlds), start=Counter())
    refused = sum((world.refused for world in worlds), start=Counter())
    print(f"{STEPS * len(SEEDS)} steps, {fired.total()} moves, {refused.total()} refusals")
    wanted = {(rule.state, rule.event) for rule in RULES}
    wanted |= {(state, Event.DEADLINE) for state in DEADLINES}
    missed = [f"{state.value} {event.value}" for state, event in wanted - set(fired)]
    assert missed == [], fired
    assert {"table", "second rollout", "stale epoch", "stale generation"} == set(refused)


def test_when_everybody_falls_silent_nobody_meets_an_unfinished_change(worlds) -> None:
    after = ENDS | {State.ROLLING_BACK, State.ROLLED_BACK}
    for world in worlds:
        world.fall_silent()
        assert all(change.state in after for change in world.changes)
        assert [world.exposed(service) for service in (0, 1)] == [0.0, 0.0]
