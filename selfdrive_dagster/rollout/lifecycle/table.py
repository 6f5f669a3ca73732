"""The table: who may move a change from where to where, on what facts, and what silence leads to.

A new state or move is a row here. Does not belong here: looking it up (`moving`).
"""

from datetime import timedelta
from typing import NamedTuple

from selfdrive_dagster.rollout.lifecycle.words import MAKING, ROLLING, Actor, Event, Fact, State


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

EVERYWHERE = (Fact.VALID_ON_HEAD, Fact.MERGED_AS_EXPECTED, Fact.SERVED_TO_ALL)
"""What must hold before a change counts as the product: in its branch, and seen at the proxy."""

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
        (*FORWARD, *SETTLED, *EVERYWHERE),
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
