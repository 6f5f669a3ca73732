"""Resources: does a process use more and more of one, or all of it?

A leak is a straight line: the slope of Theil and Sen (1950, 1968), which single peaks do not
bend, with R² of the fit, from the last restart on. Belongs here: the mathematics over minutes.
Does not belong: which metric is which.
"""

from collections.abc import Sequence
from statistics import fmean, median

import msgspec

Points = Sequence[tuple[float, float]]
"""(minute, value), in order."""

RESTART = 0.3
"""A drop by this part of the value is a restart: what was before says nothing of now."""
SAWTOOTH = 2
"""Restarts in what is looked at from which they are how it works."""
FEWEST = 30
MOST = 120
"""Points for a line: more are thinned by medians of neighbours, since slopes are of all pairs."""
FIT = 0.8
LEAST_GROWTH = 0.1
DAY_MINUTES = 1_440.0


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """A rise of `slope` a minute since `begin`; `minutes_left` until the limit, or until double.

    `limit` is None where nobody told one: then the resource counts as spent once it has doubled.
    """

    begin: float
    slope: float
    fit: float
    now: float
    limit: float | None
    minutes_left: float


def find_leak(points: Points, limit: float | None = None) -> Leak | None:
    """Return the leak that the end of a series shows, if it is spent within a day; else None."""
    since, restarts = _since_restart(points)
    # What is emptied again and again, and is not fuller than before, is a sawtooth.
    is_emptied = restarts >= SAWTOOTH and since[-1][1] < max(value for _, value in points)
    if len(since) < FEWEST or is_emptied:
        return None
    thin = _thinned(since)
    slope = theil_sen(thin)
    fit = _fit(thin, slope)
    now = median(value for _, value in since[-5:])
    grown = slope * (since[-1][0] - since[0][0])
    if slope <= 0 or fit < FIT or grown < LEAST_GROWTH * now:
        return None
    left = max(0.0, ((limit or 2 * now) - now) / slope)
    if left > DAY_MINUTES:
        return None
    begin = since[0][0]
    return Leak(begin=begin, slope=slope, fit=fit, now=now, limit=limit, minutes_left=left)


def is_saturated(points: Points, share: float, minutes: float = 30.0) -> bool:
    """Say whether nine of ten points of the last `minutes` are at `share` or above."""
    if not points:
        return False
    last = [value for minute, value in points if minute > points[-1][0] - minutes]
    return len(last) >= minutes / 3 and sum(value >= share for value in last) >= 0.9 * len(last)


def theil_sen(points: Points) -> float:
    """Return the median slope of all pairs, per minute."""
    slopes = [
        (late - early) / (end - begin)
        for at, (begin, early) in enumerate(points)
        for end, late in points[at + 1 :]
        if end > begin
    ]
    return median(slopes) if slopes else 0.0


def _since_restart(points: Points) -> tuple[list[tuple[float, float]], int]:
    """Return the points since the last restart, and how many restarts there were."""
    kept: list[tuple[float, float]] = []
    restarts = 0
    for minute, value in points:
        if kept and value < (1 - RESTART) * kept[-1][1]:
            kept, restarts = [], restarts + 1
        kept.append((minute, value))
    return kept, restarts


def _thinned(points: Points) -> list[tuple[float, float]]:
    size = -(-len(points) // MOST)
    parts = [points[at : at + size] for at in range(0, len(points), size)]
    return [(median(m for m, _ in part), median(v for _, v in part)) for part in parts]


def _fit(points: Points, slope: float) -> float:
    """Return R² of the line with this slope through the medians."""
    start = median(value - slope * minute for minute, value in points)
    mean = fmean(value for _, value in points)
    left = sum((value - start - slope * minute) ** 2 for minute, value in points)
    whole = sum((value - mean) ** 2 for _, value in points)
    return 1.0 - left / whole if whole else 0.0
