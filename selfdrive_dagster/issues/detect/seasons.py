"""What the time of day explains of an hourly series with gaps, and how wide its noise is.

Belongs here: seasons. Does not belong: what a change is (`changes`).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median

DAY = 24
FEWEST_DAYS = 7
"""Days of history from which the time of day can be told from a change."""
ROUNDS = 4
"""Sweeps of the median polish; it settles in two or three."""


def without_hours(values: Mapping[int, float]) -> dict[int, float]:
    """Return values by hour less the effect of the time of day, where there are days enough.

    Days keep their own level, so that a step in the series is left in it.
    """
    if not values or max(values) - min(values) < FEWEST_DAYS * DAY - 1:
        return dict(values)
    effects = polish(values, lambda at: at // DAY, lambda at: at % DAY)
    return {at: value - effects[at % DAY] for at, value in values.items()}


def polish(
    values: Mapping[int, float],
    row: Callable[[int], Hashable],
    column: Callable[[int], Hashable],
) -> dict[Hashable, float]:
    """Return the effect of each column, by Tukey's median polish; effects have the median 0.

    Rows and columns may be incomplete. Source: J. W. Tukey, Exploratory Data Analysis (1977),
    chapter 11.
    """
    rest = dict(values)
    effects: dict[Hashable, float] = dict.fromkeys(map(column, values), 0.0)
    for _ in range(ROUNDS):
        _take_away(rest, _medians(rest, row), row)
        found = _medians(rest, column)
        _take_away(rest, found, column)
        effects = {name: effect + found[name] for name, effect in effects.items()}
    middle = median(effects.values())
    return {name: effect - middle for name, effect in effects.items()}


def _medians(values: Mapping[int, float], key: Callable[[int], Hashable]) -> dict[Hashable, float]:
    groups: dict[Hashable, list[float]] = {}
    for index, value in values.items():
        groups.setdefault(key(index), []).append(value)
    return {name: median(group) for name, group in groups.items()}


def _take_away(
    values: dict[int, float],
    effects: Mapping[Hashable, float],
    key: Callable[[int], Hashable],
) -> None:
    for index in values:
        values[index] -= effects[key(index)]


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation by the median of distances: a few outliers do not matter."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)
