"""Escalation: has an issue left the range that its own last week lets expect?

Sentry's published rule (telemetry.md §4): a ceiling from the hourly counts of a week, the larger
of a bound over the busiest hour, wider for steady issues, and a bound over the weekday's mean.
Belongs here: the rule. Does not belong: counting.
"""

import math
from collections.abc import Sequence
from statistics import fmean, pstdev

WEEK_HOURS = 168


def ceiling(hours: Sequence[int]) -> float:
    """Return how many events an hour may have before the issue escalates.

    `hours` are the counts of full hours, oldest first, the last one just before the hour that is
    judged; hours without an event are zeros. With less than a week the ceiling is ten times the
    busiest hour. 0 without history: everything is new, and nothing escalates.
    """
    if not hours or not max(hours):
        return 0.0
    busiest = max(hours)
    if len(hours) < WEEK_HOURS:
        return 10.0 * busiest
    week = hours[-WEEK_HOURS:]
    mean, spread = fmean(week), pstdev(week)
    bound = busiest * _clamp(5.0 * math.exp(-0.65 * spread / mean), 2.0, 5.0)
    return max(bound, _weekday_mean(week) + mean * _clamp((mean + 5.0 * spread) / mean, 5.0, 8.0))


def is_escalating(hours: Sequence[int], now: int) -> bool | None:
    """Say whether `now` events in the current hour are above the ceiling; None without history."""
    top = ceiling(hours)
    return now > top if top else None


def _weekday_mean(week: Sequence[int]) -> float:
    """Return the mean over seven days in which the day a week ago counts twice."""
    days = [fmean(week[start : start + 24]) for start in range(0, WEEK_HOURS, 24)]
    return (sum(days) + days[0]) / (len(days) + 1)


def _clamp(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))
