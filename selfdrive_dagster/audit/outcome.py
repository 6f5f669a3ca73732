"""The outcome of a change after its soak: is the issue really gone, and how do we know.

Silence proves nothing by itself: at the old rate r it takes n ≥ ln 0.05 / ln(1 − r) sessions on
the same path until their silence has a chance of 5 % at most. Belongs here: the judgement, as a
pure function of counts. Does not belong: counting.
"""

import math
from enum import Enum

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Claim
from selfdrive_dagster.rollout.canary import exposures_for_silence

DOUBT = 0.05


class OutcomeKind(Enum):
    """What came of a change."""

    VERIFIED = "verified"
    CONTAINED = "contained"
    REGRESSED = "regressed"
    INCONCLUSIVE = "inconclusive"


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions on the issue's path, and in how many of them the issue was met.

    None where sessions carry no id: then nobody can tell, which is not the same as none.
    """

    seen: int | None
    affected: int | None

    def __post_init__(self) -> None:
        if self.seen is not None and self.affected is not None and self.affected > self.seen:
            raise BadInput(f"{self.affected} of {self.seen} sessions cannot be affected.")

    @property
    def rate(self) -> float | None:
        """The share that was affected, None when it cannot be known."""
        if not self.seen or self.affected is None:
            return None
        return self.affected / self.seen


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement with its numbers. `needed` sessions make silence meaningful, None if unknown."""

    kind: OutcomeKind
    reason: str
    before: Sessions
    after: Sessions
    needed: int | None


def judge_outcome(claim: Claim | None, before: Sessions, after: Sessions) -> Outcome:
    """Judge what came of a change from sessions before its release and on its release.

    A mitigation is at best CONTAINED, and a claim that nobody knows counts as one.
    """
    rate = before.rate
    needed = exposures_for_silence(rate, DOUBT) if rate else None
    kind, reason = _judge(claim, before, after, needed)
    return Outcome(kind=kind, reason=reason, before=before, after=after, needed=needed)


def _judge(
    claim: Claim | None, before: Sessions, after: Sessions, needed: int | None
) -> tuple[OutcomeKind, str]:
    if after.affected:
        often = f"{after.affected} of {after.seen if after.seen is not None else 'unknown'}"
        return OutcomeKind.REGRESSED, f"the issue was met again, in {often} sessions"
    if needed is None:
        return OutcomeKind.INCONCLUSIVE, "how often it happened before is not known"
    if after.seen is None or after.affected is None:
        return OutcomeKind.INCONCLUSIVE, "sessions carry no id, so silence cannot be weighed"
    if after.seen < needed:
        luck = luck_of(before.rate or 0.0, after.seen)
        says = f"{after.seen} of {needed} sessions: they may be silent by luck ({luck:.0%})"
        return OutcomeKind.INCONCLUSIVE, says
    says = f"not met in {after.seen} sessions, where {needed} suffice at the old rate"
    if claim is Claim.REPAIR:
        return OutcomeKind.VERIFIED, says
    return OutcomeKind.CONTAINED, f"{says}; the value is invented, so the cause stays open"


def luck_of(rate: float, sessions: int) -> float:
    """Return the chance that so many sessions pass without the issue at its old rate."""
    return math.exp(sessions * math.log1p(-rate)) if rate < 1 else float(sessions == 0)
