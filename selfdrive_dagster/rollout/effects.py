"""What a rollout does to the world, and in which states of a change each of it may be done.

An effect is intended first, done then, and noted as done: whoever finds an intent after a crash
asks the world whether it was done, and looks up here what follows if it was not. What raises
exposure is never repeated for a change that is on its way back. Does not belong here: where
intents are kept, and who acts.
"""

from enum import Enum
from functools import cache

from selfdrive_dagster.rollout.lifecycle import (
    BEGINNING,
    DEADLINES,
    ENDS,
    IN_FLIGHT,
    RULES,
    State,
)


class Kind(Enum):
    """A thing that is done to the world, with its states in `MAY`."""

    PUSH = "push"
    START_REVISION = "start_revision"
    SET_WEIGHT = "set_weight"
    MERGE = "merge"
    MAKE_STABLE = "make_stable"
    TO_STABLE = "to_stable"
    STOP_REVISION = "stop_revision"
    REVERT = "revert"


class Fate(Enum):
    """What follows for an intent that the world does not show as done."""

    REPEAT = "repeat"
    WAIT = "wait"
    GIVE_UP = "give_up"


ANY = frozenset(State)

MAY = {
    # The change's own branch, before anybody meets it.
    Kind.PUSH: frozenset({State.VALIDATED, State.AWAITING_APPROVAL, State.APPROVED}),
    # A process that nobody is led to harms nobody, and the way back may need one as well.
    Kind.START_REVISION: frozenset({State.APPROVED, *IN_FLIGHT, State.PROMOTED}),
    # Not in HOLD: that keeps the weight as it is.
    Kind.SET_WEIGHT: frozenset({State.STAGED, State.CANARY, State.BAKING}),
    Kind.MERGE: frozenset({State.BAKING}),
    # Promoted it is once that was read back.
    Kind.MAKE_STABLE: frozenset({State.BAKING}),
    # The way back is open from everywhere.
    Kind.TO_STABLE: ANY,
    Kind.STOP_REVISION: frozenset({State.APPROVED, State.ROLLED_BACK, State.PROMOTED}) | ENDS,
    Kind.REVERT: frozenset({State.ROLLING_BACK, State.ROLLED_BACK}),
}
"""The states of a change in which each effect may be intended, done and repeated."""


def stage_to_weigh(state: State, stage: int) -> int:
    """Return the stage whose weight may be set now: the first is set before users are met."""
    return stage + 1 if state is State.STAGED else stage


def why_not(kind: Kind, at: int, state: State, stage: int) -> str:
    """Return why an effect for stage `at` may not be done to a change, "" when it may."""
    if state not in MAY[kind]:
        return f"{kind.value} is not for a change that is {state.value}"
    if kind is Kind.SET_WEIGHT and at != stage_to_weigh(state, stage):
        return f"the weight of stage {at} is not for a change at stage {stage}, {state.value}"
    return ""


def fate(kind: Kind, at: int, state: State, stage: int) -> Fate:
    """Return what follows for an intent of stage `at` that was not done.

    It waits while the change is held and may come back to a state in which it is allowed.
    """
    if not why_not(kind, at, state, stage):
        return Fate.REPEAT
    passed = kind is Kind.SET_WEIGHT and at < stage_to_weigh(state, stage)
    if passed or not MAY[kind] & reachable(state):
        return Fate.GIVE_UP
    return Fate.WAIT


@cache
def reachable(state: State) -> frozenset[State]:
    """Return the states that a change can still come to without being validated anew."""
    seen: set[State] = set()
    ahead = [state]
    while ahead:
        one = ahead.pop()
        steps = {rule.to for rule in RULES if rule.state is one}
        if any(rule.climbs for rule in RULES if rule.state is one):
            steps.add(State.BAKING)
        if one in DEADLINES:
            steps.add(DEADLINES[one].to)
        ahead += steps - seen - {State.VALIDATING, BEGINNING}
        seen |= steps - {State.VALIDATING, BEGINNING}
    return frozenset(seen)


def key_of(change_id: str, version: int, kind: Kind, *more: str) -> str:
    """Return the idempotency key of an effect: once for each move of a change.

    `version` is the change's own count of moves, so that a weight set anew after a pause is
    another effect, while a repeat after a crash is the same.
    """
    return ":".join((change_id, str(version), kind.value, *more))
