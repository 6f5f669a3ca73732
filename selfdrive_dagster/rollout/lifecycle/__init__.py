"""The life of a change: its states, and the one table of who may move it where.

A pure machine. `advance` answers with a Transition to record or with a Refusal that names
its reason; it stores nothing and asks no clock. Every state that is not an end has a
deadline, and passing it leads to the safer neighbour: a change that nobody looks at expires,
it is never approved by silence. Two ways lead on from a proposal: others merge and release it
and Selfdrive watches (level L2), or a signature approves it and it is rolled out in stages (L3).
Forward needs everything, down needs nothing: exposure grows by one stage on SAFE alone, and one
jump leads from anywhere back to stable.
"""

from selfdrive_dagster.rollout.lifecycle.drawing import as_mermaid
from selfdrive_dagster.rollout.lifecycle.moving import (
    Refusal,
    Transition,
    advance,
    deadline_of,
    is_over,
)
from selfdrive_dagster.rollout.lifecycle.table import (
    BEGINNING,
    DEADLINES,
    DOWN,
    ENDS,
    RULES,
    STILL,
    TIMELESS,
)
from selfdrive_dagster.rollout.lifecycle.words import (
    IN_FLIGHT,
    MAKING,
    ROLLING,
    Actor,
    Event,
    Fact,
    State,
)

__all__ = [
    "BEGINNING",
    "DEADLINES",
    "DOWN",
    "ENDS",
    "IN_FLIGHT",
    "MAKING",
    "ROLLING",
    "RULES",
    "STILL",
    "TIMELESS",
    "Actor",
    "Event",
    "Fact",
    "Refusal",
    "State",
    "Transition",
    "advance",
    "as_mermaid",
    "deadline_of",
    "is_over",
]
