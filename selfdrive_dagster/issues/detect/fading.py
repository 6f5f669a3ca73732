"""Features that fade: used less and less, or not at all any more.

A week against the weeks before it, as shares of all use of the service, so that a quiet week is
no news of a feature; the spread of the days before says what is chance. Belongs here: the rule.
Does not belong: which features a product has.
"""

import math
from collections.abc import Sequence
from statistics import fmean, pvariance

import msgspec

WEEK = 7
BEFORE = 21
FEWEST = 40
"""Uses before the last week below which nobody can say that a feature was used."""
HALF = 0.5
SIGMAS = 3.0


class Fading(msgspec.Struct, frozen=True, kw_only=True):
    """`left` is the part of its usual share that a feature still has; 0 for used no more."""

    left: float
    days_since: int


def find_fading(uses: Sequence[int], all_uses: Sequence[int], *, unused_days: int) -> Fading | None:
    """Return how a feature fades, None if it does not.

    `uses` and `all_uses` are by full day, oldest first, the last one being yesterday.
    """
    days_since = next((at for at, count in enumerate(reversed(uses)) if count), len(uses))
    if sum(uses) < FEWEST:
        return None
    if days_since >= unused_days:
        return Fading(left=0.0, days_since=days_since)
    now = _shares(uses[-WEEK:], all_uses[-WEEK:])
    before = _shares(uses[-WEEK - BEFORE : -WEEK], all_uses[-WEEK - BEFORE : -WEEK])
    if len(before) < WEEK or len(now) < WEEK or not fmean(before):
        return None
    spread = math.sqrt(_chance(before) * (1 / len(now) + 1 / len(before)))
    left = fmean(now) / fmean(before)
    is_sure = fmean(before) - fmean(now) > SIGMAS * spread
    return Fading(left=left, days_since=days_since) if left < HALF and is_sure else None


def _chance(shares: Sequence[float]) -> float:
    """Return the variance of a day; never below that of one use in a hundred days."""
    return max(pvariance(shares), (0.01 * fmean(shares)) ** 2)


def _shares(uses: Sequence[int], whole: Sequence[int]) -> list[float]:
    return [count / total for count, total in zip(uses, whole, strict=True) if total]
