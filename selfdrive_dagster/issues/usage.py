"""Usage: which features live, grow, keep people waiting, hurt, and which nobody uses any more.

A feature is a route of a service or an event of the product. Belongs here: reading weeks of days.
Does not belong: whether that is an issue (`issues.detect`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

DAY = timedelta(days=1)
FEWEST = 20
"""Uses in a period below which growth, speed and pain are chance."""


class FeatureDay(msgspec.Struct, frozen=True, kw_only=True):
    """One feature on one day (UTC), as `sql/telemetry/usage_daily.sql` counts it.

    `total_ms` is None where nobody told how long it took.
    """

    service_name: str
    feature: str
    event_date: datetime
    uses: int
    failed: int
    total_ms: float | None
    sessions: int
    users: int


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One feature over a period and the one before it.

    `growth` is uses against the period before, 1.0 for as many; None where there were too few.
    `mean_ms` and `users` are None where nobody told any; `users` is the best day's. `hurt` counts
    sightings of issues in the period, `pain` is those per use.
    """

    service_name: str
    feature: str
    uses: int
    uses_before: int
    growth: float | None
    users: int | None
    mean_ms: float | None
    failed: int
    hurt: int
    pain: float | None
    last_used: datetime


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """A way that visitors took from one feature to the next."""

    service_name: str
    came_from: str
    feature: str
    times: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The view of an owner over `days` days up to `until`: features by what they are first in."""

    until: datetime
    days: int
    most_used: tuple[Feature, ...]
    fastest_growing: tuple[Feature, ...]
    slowest: tuple[Feature, ...]
    most_painful: tuple[Feature, ...]
    dead: tuple[Feature, ...]
    journeys: tuple[Journey, ...] = ()


Key = tuple[str, str]


def usage(
    days: Iterable[FeatureDay],
    hurt: Mapping[Key, int],
    *,
    until: datetime,
    period: int = 7,
    unused_days: int = 14,
    most: int = 10,
    journeys: Sequence[Journey] = (),
) -> Usage:
    """Return the view. `hurt` counts sightings of issues by (service, feature) in the period."""
    by_feature: dict[Key, list[FeatureDay]] = defaultdict(list)
    for day in days:
        by_feature[day.service_name, day.feature].append(day)
    features = [
        _feature(key, seen, hurt.get(key, 0), until, period)
        for key, seen in sorted(by_feature.items())
    ]
    dead = [each for each in features if until - each.last_used >= unused_days * DAY]
    alive = [each for each in features if each.uses]

    def first(worth: Callable[[Feature], float | None]) -> tuple[Feature, ...]:
        told = [(value, each) for each in alive if (value := worth(each)) is not None]
        told.sort(key=lambda pair: -pair[0])
        return tuple(each for _, each in told[:most])

    return Usage(
        until=until,
        days=period,
        most_used=first(lambda each: each.uses),
        fastest_growing=first(lambda each: each.growth if (each.growth or 0) > 1 else None),
        slowest=first(lambda each: each.mean_ms if each.uses >= FEWEST else None),
        most_painful=first(lambda each: each.pain or None),
        dead=tuple(sorted(dead, key=lambda each: each.last_used, reverse=True)[:most]),
        journeys=tuple(journeys[:most]),
    )


def _feature(
    key: Key, days: Sequence[FeatureDay], hurt: int, until: datetime, period: int
) -> Feature:
    now = [day for day in days if until - period * DAY <= day.event_date < until]
    before = [
        day for day in days if until - 2 * period * DAY <= day.event_date < until - period * DAY
    ]
    uses, uses_before = (sum(day.uses for day in each) for each in (now, before))
    timed = [day for day in now if day.total_ms is not None]
    return Feature(
        service_name=key[0],
        feature=key[1],
        uses=uses,
        uses_before=uses_before,
        growth=uses / uses_before if min(uses, uses_before) >= FEWEST else None,
        users=max((day.users for day in now), default=0) or None,
        mean_ms=sum(day.total_ms or 0 for day in timed) / sum(day.uses for day in timed)
        if timed
        else None,
        failed=sum(day.failed for day in now),
        hurt=hurt,
        pain=hurt / uses if uses >= FEWEST else None,
        last_used=max(day.event_date for day in days),
    )
