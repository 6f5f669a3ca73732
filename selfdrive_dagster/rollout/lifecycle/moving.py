"""Looking a move up: a Transition to record, or a Refusal that names its reason."""

from collections.abc import Set
from datetime import datetime

import msgspec

from selfdrive_dagster.rollout.lifecycle.table import DEADLINES, ENDS, RULES, TIMELESS
from selfdrive_dagster.rollout.lifecycle.words import MAKING, Actor, Event, Fact, State


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """An allowed move. `deadline` is of the new state, None when that is an end.

    `stage` counts from 1 while the change has met users, and is kept on the way back; before
    that it is 0. `by_deadline` marks a move that nobody decided: an outcome is then at best
    INCONCLUSIVE.
    """

    state: State
    event: Event
    actor: Actor
    to: State
    at: datetime
    deadline: datetime | None
    stage: int = 0
    by_deadline: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A move that the table does not allow, and why. `missing` are facts not known true."""

    state: State
    event: Event
    actor: Actor
    reason: str
    missing: tuple[Fact, ...] = ()


def deadline_of(state: State, since: datetime) -> datetime | None:
    """Return when a state ends by itself, None for an end."""
    rule = DEADLINES.get(state)
    return since + rule.after if rule else None


def is_over(state: State, deadline: datetime | None, *, up_since: datetime, now: datetime) -> bool:
    """Say whether a deadline is to be kept now; the loop runs since `up_since`.

    Where the loop alone acts, the time in which it was off does not count.
    """
    if deadline is None or now < deadline:
        return False
    return state not in MAKING or now >= up_since + DEADLINES[state].after


def advance(
    state: State,
    event: Event,
    actor: Actor,
    *,
    facts: Set[Fact] = frozenset(),
    now: datetime,
    deadline: datetime | None = None,
    stage: int = 0,
    stages: int = 0,
) -> Transition | Refusal:
    """Look a move up. `facts` are known to be true; `deadline` is when `state` ends by itself.

    `stage` is where the change stands in its plan of `stages`. A deadline is kept by the guard
    alone, and only once it has passed; after that nothing but what is TIMELESS moves the change,
    so that a late yes never overtakes the clock.
    """

    def refuse(reason: str, missing: tuple[Fact, ...] = ()) -> Refusal:
        return Refusal(state=state, event=event, actor=actor, reason=reason, missing=missing)

    if state in ENDS:
        return refuse(f"{state.value} is an end")
    if event is Event.DEADLINE:
        return keep_deadline(state, actor, now, deadline, stage)
    if deadline is not None and now >= deadline and event not in TIMELESS:
        return refuse(f"its deadline passed at {deadline.isoformat()}")
    rules = [rule for rule in RULES if (rule.state, rule.event) == (state, event)]
    if not rules:
        return refuse(f"nothing called {event.value} happens to a change that is {state.value}")
    rule = rules[0]
    if actor is not rule.actor:
        return refuse(f"{event.value} is for the {rule.actor.value}, not the {actor.value}")
    missing = tuple(fact for fact in rule.needs if fact not in facts)
    if missing:
        return refuse("not known: " + ", ".join(fact.value for fact in missing), missing)
    if rule.climbs and not (stages and 0 <= stage <= stages):
        return refuse(f"stage {stage} of {stages} is no place to climb from")
    to = State.BAKING if rule.climbs and stage == stages else rule.to
    return Transition(
        state=state,
        event=event,
        actor=actor,
        to=to,
        at=now,
        deadline=deadline_of(to, now),
        stage=stage + 1 if rule.climbs and to is rule.to else stage,
    )


def keep_deadline(
    state: State, actor: Actor, now: datetime, deadline: datetime | None, stage: int = 0
) -> Transition | Refusal:
    """Move a change whose time is over to the safer neighbour."""
    event = Event.DEADLINE
    if actor is not Actor.GUARD:
        reason = f"{event.value} is for the {Actor.GUARD.value}, not the {actor.value}"
        return Refusal(state=state, event=event, actor=actor, reason=reason)
    if deadline is None or now < deadline:
        return Refusal(state=state, event=event, actor=actor, reason="its time is not over")
    to = DEADLINES[state].to
    return Transition(
        state=state,
        event=event,
        actor=actor,
        to=to,
        at=now,
        deadline=deadline_of(to, now),
        stage=stage,
        by_deadline=True,
    )
