"""The life of a change: its states, and the one table of who may move it where.

A pure machine. `advance` answers with a Transition to record or with a Refusal that names
its reason; it stores nothing and asks no clock. Every state that is not an end has a
deadline, and passing it leads to the safer neighbour: a change that nobody looks at expires,
it is never approved by silence. Two ways lead on from a proposal: others merge and release it
and Selfdrive watches (level L2), or a signature approves it and it is rolled out in stages (L3).
Forward needs everything, down needs nothing: exposure grows by one stage on SAFE alone, and one
jump leads from anywhere back to stable.
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
    APPROVED = "approved"
    STAGED = "staged"
    CANARY = "canary"
    HOLD = "hold"
    BAKING = "baking"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    PROMOTED = "promoted"
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
    CONTROLLER = "controller"
    OPERATOR = "operator"


class Event(Enum):
    """What happened to a change."""

    START = "start"
    TAKEN_UP = "taken_up"
    PROVEN = "proven"
    UNPROVEN = "unproven"
    FAIL = "fail"
    PROPOSE = "propose"
    REJECT = "reject"
    APPROVE = "approve"
    BUILT = "built"
    EXPOSED = "exposed"
    SAFE = "safe"
    HARM = "harm"
    NO_DATA = "no_data"
    STALLED = "stalled"
    PAUSE = "pause"
    DATA_BACK = "data_back"
    RESUME = "resume"
    ADVANCE = "advance"
    ABORT = "abort"
    STOP = "stop"
    LEASE_LOST = "lease_lost"
    DRIFT = "drift"
    BAKED = "baked"
    RESTORED = "restored"
    REVERTED = "reverted"
    BASE_MOVED = "base_moved"
    PATCH_EDITED = "patch_edited"
    MERGED = "merged"
    RELEASED = "released"
    SOAKED = "soaked"
    DEADLINE = "deadline"


ROLLING = (State.STAGED, State.CANARY, State.HOLD, State.BAKING)
"""States in which a revision of the change may meet users: each is one jump from stable."""

IN_FLIGHT = (*ROLLING, State.ROLLING_BACK)
"""States of which a service has one change at a time: they hold its traffic."""

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
    SIGNATURE_VERIFIED = "signature_verified"
    APPROVAL_HOLDS = "approval_holds"
    BRANCH_AS_APPROVED = "branch_as_approved"
    STABLE_RESTORABLE = "stable_restorable"
    LEASE_HELD = "lease_held"
    BREAKER_CLOSED = "breaker_closed"
    NONE_IN_FLIGHT = "none_in_flight"
    NOT_STOPPED = "not_stopped"
    EVIDENCE_STORED = "evidence_stored"
    WEIGHT_READ_BACK = "weight_read_back"
    HELD_FOR_DATA = "held_for_data"
    VALID_ON_HEAD = "valid_on_head"
    MERGED_AS_EXPECTED = "merged_as_expected"
    STABLE_ALONE = "stable_alone"
    REVERTED_OR_NEVER_MERGED = "reverted_or_never_merged"
    MERGE_SEEN_IN_GIT = "merge_seen_in_git"
    RELEASE_SEEN_IN_TELEMETRY = "release_seen_in_telemetry"
    OUTCOME_RECORDED = "outcome_recorded"


class Rule(NamedTuple):
    """One line of the table. `climbs` leads one stage up, and from the last stage to BAKING."""

    state: State
    event: Event
    actor: Actor
    to: State
    needs: tuple[Fact, ...] = ()
    climbs: bool = False


FORWARD = (Fact.APPROVAL_HOLDS, Fact.LEASE_HELD, Fact.BREAKER_CLOSED, Fact.NOT_STOPPED)
"""What must hold whenever more users are to meet a change."""

SETTLED = (Fact.EVIDENCE_STORED, Fact.WEIGHT_READ_BACK)
"""What must hold before a stage ends well: its evidence is kept, its weight was the real one."""

DOWN = (
    (Event.HARM, Actor.ANALYST, (Fact.EVIDENCE_STORED,)),
    (Event.ABORT, Actor.HUMAN, ()),
    (Event.STOP, Actor.GUARD, ()),
    (Event.LEASE_LOST, Actor.GUARD, ()),
)
"""What sends a change back to stable from wherever it is, in one jump."""

STILL = (
    (Event.NO_DATA, Actor.ANALYST),
    (Event.STALLED, Actor.ANALYST),
    (Event.PAUSE, Actor.HUMAN),
    (Event.DRIFT, Actor.GUARD),
)
"""What keeps exposure where it is."""


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
    # A moved base is told of a proposal; only once it is approved it is proven anew by that.
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
        State.AWAITING_APPROVAL,
        Event.APPROVE,
        Actor.HUMAN,
        State.APPROVED,
        (Fact.SIGNATURE_VERIFIED, Fact.REASON_GIVEN),
    ),
    Rule(State.APPROVED, Event.BASE_MOVED, Actor.GUARD, State.VALIDATING),
    Rule(State.APPROVED, Event.PATCH_EDITED, Actor.GUARD, State.VALIDATING),
    # Without an actuator of ours an approved change waits for others as well.
    Rule(
        State.APPROVED,
        Event.MERGED,
        Actor.GUARD,
        State.MERGED_OUTSIDE,
        (Fact.MERGE_SEEN_IN_GIT,),
    ),
    Rule(
        State.APPROVED,
        Event.BUILT,
        Actor.CONTROLLER,
        State.STAGED,
        (Fact.APPROVAL_HOLDS, Fact.BRANCH_AS_APPROVED, Fact.STABLE_RESTORABLE, Fact.NONE_IN_FLIGHT),
    ),
    Rule(
        State.STAGED,
        Event.EXPOSED,
        Actor.CONTROLLER,
        State.CANARY,
        (*FORWARD, Fact.BUDGET_LEFT, Fact.WEIGHT_READ_BACK),
        climbs=True,
    ),
    Rule(
        State.CANARY,
        Event.SAFE,
        Actor.ANALYST,
        State.CANARY,
        (*FORWARD, *SETTLED),
        climbs=True,
    ),
    *(
        Rule(state, event, actor, State.HOLD)
        for state in (State.CANARY, State.BAKING)
        for event, actor in STILL
    ),
    Rule(
        State.HOLD,
        Event.DATA_BACK,
        Actor.ANALYST,
        State.CANARY,
        (Fact.HELD_FOR_DATA, Fact.LEASE_HELD, Fact.NOT_STOPPED),
    ),
    Rule(
        State.HOLD,
        Event.RESUME,
        Actor.OPERATOR,
        State.CANARY,
        (Fact.REASON_GIVEN, Fact.LEASE_HELD, Fact.NOT_STOPPED),
    ),
    Rule(
        State.HOLD,
        Event.ADVANCE,
        Actor.OPERATOR,
        State.CANARY,
        (Fact.SIGNATURE_VERIFIED, Fact.REASON_GIVEN, *FORWARD, Fact.WEIGHT_READ_BACK),
        climbs=True,
    ),
    *(
        Rule(state, event, actor, State.ROLLING_BACK, needs)
        for state in ROLLING
        for event, actor, needs in DOWN
    ),
    Rule(
        State.BAKING,
        Event.BAKED,
        Actor.CONTROLLER,
        State.PROMOTED,
        (*FORWARD, *SETTLED, Fact.VALID_ON_HEAD, Fact.MERGED_AS_EXPECTED),
    ),
    Rule(
        State.ROLLING_BACK,
        Event.RESTORED,
        Actor.CONTROLLER,
        State.ROLLED_BACK,
        (Fact.STABLE_ALONE,),
    ),
    Rule(
        State.ROLLED_BACK,
        Event.REVERTED,
        Actor.CONTROLLER,
        State.LEARNED,
        (Fact.REVERTED_OR_NEVER_MERGED,),
    ),
    Rule(State.PROMOTED, Event.SOAKED, Actor.ANALYST, State.LEARNED, (Fact.OUTCOME_RECORDED,)),
    Rule(State.PROMOTED, Event.HARM, Actor.ANALYST, State.ROLLING_BACK, (Fact.EVIDENCE_STORED,)),
    Rule(State.PROMOTED, Event.ABORT, Actor.HUMAN, State.ROLLING_BACK),
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
        for state in (*MAKING, State.AWAITING_APPROVAL, State.APPROVED)
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
    State.APPROVED: Deadline(timedelta(days=7), State.EXPIRED),
    State.STAGED: Deadline(timedelta(hours=1), State.ROLLING_BACK),
    State.CANARY: Deadline(timedelta(days=2), State.HOLD),
    State.HOLD: Deadline(timedelta(hours=24), State.ROLLING_BACK),
    State.BAKING: Deadline(timedelta(days=7), State.HOLD),
    # The way back has no other neighbour: it is tried until it is done, and each hour is told.
    State.ROLLING_BACK: Deadline(timedelta(hours=1), State.ROLLING_BACK),
    State.ROLLED_BACK: Deadline(timedelta(hours=1), State.ROLLED_BACK),
    State.PROMOTED: Deadline(timedelta(days=30), State.LEARNED),
    # After the merge by others a deadline never acts on the product: it ends in "we do not know".
    State.MERGED_OUTSIDE: Deadline(timedelta(days=30), State.LEARNED),
    State.OBSERVING: Deadline(timedelta(days=30), State.LEARNED),
}

ENDS = frozenset(State) - frozenset(DEADLINES)
"""States that nothing leaves: LEARNED, REJECTED, EXPIRED."""

BEGINNING = State.DRAFT

TIMELESS = frozenset(
    {
        Event.REJECT,
        Event.MERGED,
        Event.TAKEN_UP,
        Event.RESTORED,
        Event.REVERTED,
        *(event for event, _, _ in DOWN),
    }
)
"""A refusal is never too late and neither is the way back; a merge is a fact whether or not we
were still waiting; nobody but the loop waits for what it takes up again."""


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


def as_mermaid() -> str:
    """Draw the table as a Mermaid state diagram, for the documentation.

    One arrow per pair of states, with all that leads along it.
    """
    ways: dict[tuple[State, State], list[str]] = {}
    for rule in RULES:
        told = f"{rule.event.value} ({rule.actor.value})"
        ways.setdefault((rule.state, rule.to), []).append(told)
        if rule.climbs and rule.state is not State.STAGED:  # no plan ends at stage 0
            last = f"{told} at the last stage"
            ways.setdefault((rule.state, State.BAKING), []).append(last)
    for state, silence in DEADLINES.items():
        told = f"deadline {silence.after.total_seconds() / 3600:.0f} h"
        ways.setdefault((state, silence.to), []).append(told)
    lines = ["stateDiagram-v2", f"    [*] --> {BEGINNING.name}"]
    lines += [f"    {one.name} --> {to.name}: {', '.join(ways[one, to])}" for one, to in ways]
    lines += [f"    {state.name} --> [*]" for state in State if state in ENDS]
    return "\n".join(lines) + "\n"
