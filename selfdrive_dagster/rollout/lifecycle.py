"""The life of a change: its states, and the one table of who may move it where.

A pure machine. `advance` answers with a Transition to record or with a Refusal that names
its reason; it stores nothing and asks no clock. Every state that is not an end has a
deadline, and passing it leads to the safer neighbour: a change that nobody looks at expires,
it is never approved by silence. This is level L2: the change ends as a proposal that others
merge and release, and Selfdrive watches what comes of it.
"""

from collections.abc import Set
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

import msgspec


class State(Enum):
    """Where a change stands."""

    DRAFT = "draft"
    VALIDATING = "validating"
    VALIDATED = "validated"
    AWAITING_APPROVAL = "awaiting_approval"
    MERGED_OUTSIDE = "merged_outside"
    OBSERVING = "observing"
    LEARNED = "learned"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Actor(Enum):
    """In which role somebody acts; who it was stands in the ledger."""

    LOOP = "loop"
    VALIDATOR = "validator"
    HUMAN = "human"
    ANALYST = "analyst"
    GUARD = "guard"


class Event(Enum):
    """What happened to a change."""

    START = "start"
    TAKEN_UP = "taken_up"
    PROVEN = "proven"
    UNPROVEN = "unproven"
    FAIL = "fail"
    PROPOSE = "propose"
    REJECT = "reject"
    BASE_MOVED = "base_moved"
    PATCH_EDITED = "patch_edited"
    MERGED = "merged"
    RELEASED = "released"
    SOAKED = "soaked"
    DEADLINE = "deadline"


MAKING = (State.DRAFT, State.VALIDATING, State.VALIDATED)
"""States in which the loop alone acts: what is left undone there is no fault of the change."""


class Fact(Enum):
    """What must be known to be true before a move; unknown is not true."""

    BUDGET_LEFT = "budget_left"
    NOT_QUARANTINED = "not_quarantined"
    FULL_SANDBOX = "full_sandbox"
    REPORT_RECORDED = "report_recorded"
    BRANCH_PUSHED = "branch_pushed"
    REASON_GIVEN = "reason_given"
    MERGE_SEEN_IN_GIT = "merge_seen_in_git"
    RELEASE_SEEN_IN_TELEMETRY = "release_seen_in_telemetry"
    OUTCOME_RECORDED = "outcome_recorded"


class Rule(NamedTuple):
    """One line of the table."""

    state: State
    event: Event
    actor: Actor
    to: State
    needs: tuple[Fact, ...] = ()


RULES = (
    Rule(
        State.DRAFT,
        Event.START,
        Actor.LOOP,
        State.VALIDATING,
        (Fact.BUDGET_LEFT, Fact.NOT_QUARANTINED),
    ),
    Rule(
        State.VALIDATING,
        Event.PROVEN,
        Actor.VALIDATOR,
        State.VALIDATED,
        (Fact.FULL_SANDBOX, Fact.REPORT_RECORDED),
    ),
    # An unproven candidate, or a diagnosis alone, may be shown to people, marked as that.
    Rule(
        State.VALIDATING, Event.UNPROVEN, Actor.VALIDATOR, State.VALIDATED, (Fact.REPORT_RECORDED,)
    ),
    # A run that begins again starts the clock anew: only work has to be in time, not the loop.
    *(Rule(state, Event.TAKEN_UP, Actor.LOOP, state) for state in MAKING),
    # Nothing fires FAIL yet: the gate always ends in a report, and that is shown to people.
    Rule(State.VALIDATING, Event.FAIL, Actor.VALIDATOR, State.REJECTED),
    Rule(
        State.VALIDATED,
        Event.PROPOSE,
        Actor.LOOP,
        State.AWAITING_APPROVAL,
        (Fact.REPORT_RECORDED, Fact.BRANCH_PUSHED),
    ),
    # Nothing fires these two yet: a moved base is told by each look outside, an edit counts when
    # it is merged; validating again belongs to approvals, which are not built.
    Rule(State.AWAITING_APPROVAL, Event.BASE_MOVED, Actor.GUARD, State.VALIDATING),
    Rule(State.AWAITING_APPROVAL, Event.PATCH_EDITED, Actor.GUARD, State.VALIDATING),
    Rule(
        State.AWAITING_APPROVAL,
        Event.MERGED,
        Actor.GUARD,
        State.MERGED_OUTSIDE,
        (Fact.MERGE_SEEN_IN_GIT,),
    ),
    Rule(
        State.MERGED_OUTSIDE,
        Event.RELEASED,
        Actor.ANALYST,
        State.OBSERVING,
        (Fact.RELEASE_SEEN_IN_TELEMETRY,),
    ),
    Rule(State.OBSERVING, Event.SOAKED, Actor.ANALYST, State.LEARNED, (Fact.OUTCOME_RECORDED,)),
    # A person may refuse at any time before the merge, and says why.
    *(
        Rule(state, Event.REJECT, Actor.HUMAN, State.REJECTED, (Fact.REASON_GIVEN,))
        for state in (State.DRAFT, State.VALIDATING, State.VALIDATED, State.AWAITING_APPROVAL)
    ),
)


class Deadline(NamedTuple):
    """How long a change may stay in a state, and where it goes by itself afterwards."""

    after: timedelta
    to: State


DEADLINES = {
    State.DRAFT: Deadline(timedelta(hours=24), State.EXPIRED),
    State.VALIDATING: Deadline(timedelta(hours=6), State.EXPIRED),
    State.VALIDATED: Deadline(timedelta(hours=24), State.EXPIRED),
    State.AWAITING_APPROVAL: Deadline(timedelta(days=14), State.EXPIRED),
    # After the merge a deadline never acts on the product: it ends in "we do not know".
    State.MERGED_OUTSIDE: Deadline(timedelta(days=30), State.LEARNED),
    State.OBSERVING: Deadline(timedelta(days=30), State.LEARNED),
}

ENDS = frozenset(State) - frozenset(DEADLINES)
"""States that nothing leaves: LEARNED, REJECTED, EXPIRED."""

BEGINNING = State.DRAFT

TIMELESS = frozenset({Event.REJECT, Event.MERGED, Event.TAKEN_UP})
"""A refusal is never too late, a merge is a fact whether or not we were still waiting, and
nobody but the loop waits for what it takes up again."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """An allowed move. `deadline` is of the new state, None when that is an end.

    `by_deadline` marks a move that nobody decided: an outcome is then at best INCONCLUSIVE.
    """

    state: State
    event: Event
    actor: Actor
    to: State
    at: datetime
    deadline: datetime | None
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
) -> Transition | Refusal:
    """Look a move up. `facts` are known to be true; `deadline` is when `state` ends by itself.

    A deadline is kept by the guard alone, and only once it has passed; after that nothing but
    what is TIMELESS moves the change, so that a late yes never overtakes the clock.
    """

    def refuse(reason: str, missing: tuple[Fact, ...] = ()) -> Refusal:
        return Refusal(state=state, event=event, actor=actor, reason=reason, missing=missing)

    if state in ENDS:
        return refuse(f"{state.value} is an end")
    if event is Event.DEADLINE:
        return keep_deadline(state, actor, now, deadline)
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
    return Transition(
        state=state,
        event=event,
        actor=actor,
        to=rule.to,
        at=now,
        deadline=deadline_of(rule.to, now),
    )


def keep_deadline(
    state: State, actor: Actor, now: datetime, deadline: datetime | None
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
        by_deadline=True,
    )


def as_mermaid() -> str:
    """Draw the table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {BEGINNING.name}"]
    lines += [
        f"    {rule.state.name} --> {rule.to.name}: {rule.event.value} ({rule.actor.value})"
        for rule in RULES
    ]
    lines += [
        f"    {state.name} --> {rule.to.name}: deadline {rule.after.total_seconds() / 3600:.0f} h"
        for state, rule in DEADLINES.items()
    ]
    lines += [f"    {state.name} --> [*]" for state in State if state in ENDS]
    return "\n".join(lines) + "\n"
