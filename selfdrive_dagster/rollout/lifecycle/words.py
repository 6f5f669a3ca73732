"""The words of a change's life: where it stands, who acts, what happens, what must be known."""

from enum import Enum


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
    SERVED_TO_ALL = "served_to_all"
    STABLE_ALONE = "stable_alone"
    REVERTED_OR_NEVER_MERGED = "reverted_or_never_merged"
    MERGE_SEEN_IN_GIT = "merge_seen_in_git"
    RELEASE_SEEN_IN_TELEMETRY = "release_seen_in_telemetry"
    OUTCOME_RECORDED = "outcome_recorded"
