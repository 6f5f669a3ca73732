"""Change points: has a number that is measured each hour become greater, and stays so?

Works on logarithms, so that a change is a ratio. The time of day is taken out, lone wild hours are
cut, then the series is parted into pieces of constant mean (optimal partitioning, Jackson et al.
2005), each piece at the price 3 ln(n) σ²: what `ruptures.KernelCPD(kernel="linear")` finds (the
bench holds the two equal), without its dependencies, since a series has a few hundred points.
A rise is told if it is large enough, still there, no return to what was usual and no slow weekend.
Not found: a creep without a step. Belongs here: the mathematics. Does not belong: which series.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median

import msgspec

from selfdrive_dagster.issues.detect.seasons import spread, without_hours

SHORTEST = 4
"""Points that a piece must have: a few slow hours are no change."""
FEWEST = 24
"""Points below which nothing can be said."""
PENALTY = 3.0
LATE, FEWEST_LATE = 12, 3
"""Of the last 12 hours 3 must be known: else nobody can say what holds now."""
HELD = 0.8
"""Part of the hours since that must stand nearer to the new level than to the old one."""
USUAL = 0.5
"""Part of the hours before from which the new level is the usual one, come back."""
WEEK = 168
LEAST_NOISE = 0.01
"""Quantiles from buckets are known to about 1 %."""
TINY = 1e-3
"""Stands for 0, which has no logarithm."""

Series = Sequence[float | None]
Level = Mapping[int, float]
"""Hour since the beginning → logarithm without its season, in order; only known hours."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The last change of a series, at point `at`: the median since is `after`.

    `before` is what those hours would have shown at the old level.
    """

    at: int
    before: float
    after: float

    @property
    def share(self) -> float:
        """By which part of the old value it changed."""
        return (self.after - self.before) / self.before if self.before else math.inf


def find_rise(series: Series, *, share: float, least: float) -> Change | None:
    """Return the last rise that the end of a series still shows, None if there is none.

    `series` is one value an hour, oldest first; None is unknown, not zero. A rise counts from
    `least` in the series' own unit, and unless the data rule out (95 %) that it is `share` of
    the old level: judging the estimate alone would drop half of the rises of just that size.
    """
    known = {
        at: value
        for at, value in enumerate(series)
        if value is not None and math.isfinite(value) and value >= 0
    }
    late = sum(at >= len(series) - LATE for at in known)
    if len(known) < FEWEST or late < FEWEST_LATE:
        return None
    level = without_wild_hours(
        without_hours({at: math.log(max(value, TINY)) for at, value in known.items()})
    )
    sigma = max(LEAST_NOISE, noise(level))
    now = [value for at, value in level.items() if at >= len(series) - LATE]
    # One deviation of their mean is granted: else one rise of 10 % in six looks gone by chance.
    at_most = fmean(now) + sigma / math.sqrt(len(now))
    places = list(level)
    cuts = [0, *partition(list(level.values()), sigma), len(places)]
    pieces = [places[begin:end] for begin, end in itertools.pairwise(cuts)]
    for number in range(len(pieces) - 1, 0, -1):
        step = rise_of(level, pieces, number, sigma, share, at_most)
        if step is not None:
            after = median(known[at] for at in pieces[number])
            before = after / math.exp(step)
            if after - before >= least:
                return Change(at=pieces[number][0], before=before, after=after)
    return None


def rise_of(
    level: Level,
    pieces: Sequence[Sequence[int]],
    number: int,
    sigma: float,
    share: float,
    now: float,
) -> float | None:
    """Return by how much (a logarithm) a piece lies above the one before, if that counts.

    `now` is where the last hours stand at most.
    """
    means = [fmean(level[at] for at in piece) for piece in pieces]
    before, after = pieces[number - 1], pieces[number]
    old, step = means[number - 1], means[number] - means[number - 1]
    error = sigma * math.sqrt(1 / len(before) + 1 / len(after))
    if step <= 0 or step + 1.645 * error < math.log1p(share):
        return None
    half = old + step / 2
    risen = [(len(piece), mean >= half) for piece, mean in zip(pieces, means, strict=True)]
    lasts = _part(risen[number:]) >= HELD and now >= half
    is_new = _part(risen[:number]) < USUAL and not _was_so_last_week(level, before, after, step)
    return step if lasts and is_new else None


def _part(risen: Sequence[tuple[int, bool]]) -> float:
    """Return the part of the hours that stand at the new level."""
    return sum(hours for hours, is_there in risen if is_there) / sum(hours for hours, _ in risen)


def _was_so_last_week(
    level: Level, before: Sequence[int], after: Sequence[int], step: float
) -> bool:
    """Say whether the same step stood in the same hours of the week before.

    Weekends are slower in many products, and a fortnight is too short to know it of this one.
    Where too few of those hours are known, nothing speaks against the change.
    """
    risen = _since_last_week(level, after, until=after[0])
    if len(risen) < SHORTEST:
        return False
    usual = _since_last_week(level, before, until=after[0])
    return median(risen) - (median(usual) if usual else 0.0) < step / 2


def _since_last_week(level: Level, hours: Sequence[int], *, until: int) -> list[float]:
    """Return how far each hour lies above the same one a week ago, if that was before `until`."""
    pairs = ((at, at - WEEK) for at in hours)
    return [level[now] - level[then] for now, then in pairs if then < until and then in level]


def without_wild_hours(level: Level) -> dict[int, float]:
    """Return the series with lone wild hours cut to what is usual beside them (Hampel's filter).

    Looks at 7 known hours; what lies 4 deviations off their median becomes the median. A step
    stays, as half of its neighbours stand with it.
    """
    values = list(level.values())
    sigma = max(LEAST_NOISE, noise(level))
    kept = {}
    for place, (at, value) in enumerate(level.items()):
        middle = median(values[max(0, place - 3) : place + 4])
        kept[at] = middle if abs(value - middle) > 4 * sigma else value
    return kept


def noise(level: Level) -> float:
    """Return the deviation that the mean of a piece answers to, whatever steps there are.

    From differences of hours 1 and 2 apart, which a step hardly touches. Their ratio tells how
    much an hour resembles the one before (ρ); hours that do tell less than they are, so the
    variance is multiplied by (1 + ρ)/(1 − ρ), its long-run value for a first-order process.
    What chance alone gives the ratio is taken off ρ: few pairs must not make a series look noisy.
    """
    one = [value - level[at - 1] for at, value in level.items() if at - 1 in level]
    two = [value - level[at - 2] for at, value in level.items() if at - 2 in level]
    if len(one) < SHORTEST or len(two) < SHORTEST:
        return spread(list(level.values()))
    near, far = _clipped_square(one), _clipped_square(two)
    if near == 0.0:
        return 0.0
    likeness = min(0.8, max(0.0, far / near - 1.0 - 1.0 / math.sqrt(len(two))))
    return math.sqrt(near / (2.0 * (1.0 - likeness)) * (1.0 + likeness) / (1.0 - likeness))


def _clipped_square(differences: Sequence[float]) -> float:
    """Return the mean square, of 4 deviations at most each: a step must not count."""
    most = 4 * spread(differences)
    return fmean(min(most, abs(each)) ** 2 for each in differences)


def partition(values: Sequence[float], sigma: float) -> list[int]:
    """Return where new pieces begin, in order; [] if one mean describes all."""
    count = len(values)
    if count < 2 * SHORTEST or sigma == 0.0:
        return []
    price = PENALTY * math.log(count) * sigma**2
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
