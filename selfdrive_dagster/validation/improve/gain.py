"""The gain: base and patch timed in turn, and an interval for the ratio of their times.

Times on a shared machine have long tails and drift. So the runs are paired, each pair gives the
ratio of its two times, and the interval is that of the median by order statistics: exact for any
distribution, and one wild pair moves nothing (Conover, Practical Nonparametric Statistics, 3.2).
No gain is claimed whose whole interval does not lie below `1 - LEAST`. Belongs here: the
statistics. Does not belong: running anything.
"""

from collections.abc import Sequence
from math import comb
from statistics import median

import msgspec

CONFIDENCE = 0.99
LEAST = 0.10
"""The least gain worth a change: a tenth of the time that the requests take as a whole."""
FEWEST = 8
"""Pairs below which no interval of the median reaches 99 %."""


class Pair(msgspec.Struct, frozen=True):
    """Seconds of one run of the workload on each side."""

    base: float
    patch: float


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured: the ratio patch / base of the medians of pairs, with its interval."""

    ratio: float
    low: float
    high: float
    pairs: int
    base_ms: float
    patch_ms: float
    confidence: float = CONFIDENCE

    @property
    def says(self) -> str:
        """Return the figures in a line."""
        return (
            f"{self.base_ms:,.1f} ms before, {self.patch_ms:,.1f} ms after: takes {self.ratio:.1%} "
            f"of the time ({self.confidence:.0%} interval {self.low:.1%} to {self.high:.1%}, "
            f"{self.pairs} pairs)"
        )


def median_interval(values: Sequence[float], confidence: float) -> tuple[float, float] | None:
    """Return the narrowest symmetric interval of order statistics that covers the median.

    None where there are too few values for that confidence.
    """
    ordered, n = sorted(values), len(values)
    if not n or 1 - 2 * 0.5**n < confidence:
        return None
    outside, cut = 0.0, 0
    while cut < n // 2:
        more = 2 * comb(n, cut) * 0.5**n
        if 1 - (outside + more) < confidence:
            break
        outside, cut = outside + more, cut + 1
    return ordered[cut - 1], ordered[n - cut]


def gain_of(pairs: Sequence[Pair]) -> Gain | None:
    """Return the measured gain; None where too few pairs, or times of nothing, tell none."""
    if any(pair.base <= 0 for pair in pairs):
        return None
    ratios = [pair.patch / pair.base for pair in pairs]
    interval = median_interval(ratios, CONFIDENCE)
    if interval is None:
        return None
    return Gain(
        ratio=median(ratios),
        low=interval[0],
        high=interval[1],
        pairs=len(pairs),
        base_ms=1000 * median(pair.base for pair in pairs),
        patch_ms=1000 * median(pair.patch for pair in pairs),
    )
