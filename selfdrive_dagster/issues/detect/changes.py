"""Change points: has a number that is measured each hour become greater, and stays so?

Optimal partitioning of the series into pieces of constant mean (Jackson et al. 2005), each piece
at the price 3 ln(n) σ²: what `ruptures.KernelCPD(kernel="linear")` finds (the bench holds the two
equal), without its dependencies, since a series has a few hundred points. σ comes from the
differences of neighbours, which a change does not touch. The time of day is taken out first where
there are enough days to know it. Belongs here: the mathematics. Does not belong: which series.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import median

import msgspec

DAY = 24
FEWEST_DAYS = 4
"""Days of history from which the time of day can be told from a change."""
SHORTEST = 3
"""Points that a piece must have: one slow hour is no change."""
PENALTY = 3.0
_MAD = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""

Series = Sequence[float | None]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The last change of a series: from point `at` on the median is `after`, it was `before`."""

    at: int
    before: float
    after: float

    @property
    def share(self) -> float:
        """By which part of the old median it changed."""
        return (self.after - self.before) / self.before if self.before else math.inf


def find_rise(series: Series, *, share: float, least: float) -> Change | None:
    """Return the rise that the end of a series still shows, None if there is none.

    `series` is one value an hour, oldest first; None is unknown, not zero. A rise counts from
    `share` of the old mean and from `least` in the series' own unit.
    """
    places = [at for at, value in enumerate(series) if value is not None]
    values = [value for value in series if value is not None]
    level = deseasonalised(values, places)
    cuts = [0, *partition(level), len(level)]
    if len(cuts) < 3:
        return None
    last = cuts[-2]
    # Medians: the piece before may itself be a dent, and one slow hour is no change.
    before, after = median(level[:last]), median(level[last:])
    found = Change(at=places[last], before=before, after=after)
    grew = after - before
    return found if grew >= max(least, share * before) and grew > 0 else None


def partition(values: Sequence[float]) -> list[int]:
    """Return where new pieces begin, in order; [] if one mean describes all."""
    count = len(values)
    noise = spread(values)
    if count < 2 * SHORTEST or noise == 0.0:
        return []
    price = PENALTY * math.log(count) * noise**2
    sums, squares = [0.0], [0.0]
    for value in values:
        sums.append(sums[-1] + value)
        squares.append(squares[-1] + value * value)

    def cost(begin: int, end: int) -> float:
        total = sums[end] - sums[begin]
        return squares[end] - squares[begin] - total * total / (end - begin)

    best = [-price] + [math.inf] * count
    came_from = [0] * (count + 1)
    for end in range(SHORTEST, count + 1):
        for begin in (0, *range(SHORTEST, end - SHORTEST + 1)):
            together = best[begin] + cost(begin, end) + price
            if together < best[end]:
                best[end], came_from[end] = together, begin
    cuts, at = [], came_from[count]
    while at > 0:
        cuts.append(at)
        at = came_from[at]
    return cuts[::-1]


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation of the noise, from the differences of neighbours."""
    steps = [late - early for early, late in itertools.pairwise(values)]
    if not steps:
        return 0.0
    middle = median(steps)
    return _MAD * median(abs(step - middle) for step in steps) / math.sqrt(2)


def deseasonalised(values: Sequence[float], places: Sequence[int]) -> list[float]:
    """Return values without their time of day; `places` are their hours since the beginning.

    Each hour of the day is divided by its own median against the median of all, if the series
    has FEWEST_DAYS of it.
    """
    if not places or places[-1] - places[0] < FEWEST_DAYS * DAY:
        return list(values)
    usual = median(values)
    clock: dict[int, list[float]] = defaultdict(list)
    for value, place in zip(values, places, strict=True):
        clock[place % DAY].append(value)
    factors = {
        hour: median(each) / usual if len(each) >= FEWEST_DAYS and usual and median(each) else 1.0
        for hour, each in clock.items()
    }
    return [value / factors[place % DAY] for value, place in zip(values, places, strict=True)]
