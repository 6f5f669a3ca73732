"""The detectors: which numbers of the tables each one looks at, as one ordered table.

Belongs here: questions to the tables and findings in words. Does not belong: the mathematics
(`issues.detect`), nor when they look (`detecting`).
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.config import Detect, Issues
from selfdrive_dagster.issues.detect import Finding, Use
from selfdrive_dagster.issues.detect.changes import find_rise
from selfdrive_dagster.issues.detect.fading import find_fading
from selfdrive_dagster.issues.detect.funnels import Step, is_drop
from selfdrive_dagster.issues.detect.leaks import find_leak, is_saturated
from selfdrive_dagster.issues.detect.slow import RouteHour, slow_paths

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Look(msgspec.Struct, frozen=True):
    """What a detector may ask: the tables up to `end`, the first instant of an hour not full."""

    warehouse: Warehouse
    end: datetime
    detect: Detect
    issues: Issues

    def ask(self, sql: str, back: timedelta) -> list[dict[str, Any]]:
        """Answer a question over the time from `$begin` to before `$end`."""
        parameters = {"begin": self.end - back, "end": self.end}
        return self.warehouse.query(sql, parameters).to_dicts()

    def hours(self, count: int) -> tuple[datetime, ...]:
        """Return the starts of the last full hours, oldest first."""
        return tuple(self.end - at * HOUR for at in range(count, 0, -1))


_ROUTES = """
SELECT
    service_name, route, event_hour,
    CAST(sum(requests) AS BIGINT) AS requests, coalesce(sum(total_ms), 0) AS total_ms,
    max(p95_ms) AS p95_ms
FROM route_hourly
WHERE event_hour >= $begin AND event_hour < $end
GROUP BY service_name, route, event_hour
"""


def find_slow_paths(look: Look) -> Iterable[Finding]:
    """Look at a day of waiting."""
    hours = msgspec.convert(look.ask(_ROUTES, DAY), list[RouteHour])
    return slow_paths(hours, share=look.detect.slow_share, slow_ms=look.detect.slow_ms)


_P95 = """
SELECT service_name, route, event_hour, max(p95_ms) AS p95_ms, max(service_version) AS version
FROM route_hourly
WHERE event_hour >= $begin AND event_hour < $end AND requests >= 5
GROUP BY service_name, route, event_hour
"""

WEEKS = 14 * 24
"""Hours of a latency series: what is slow for longer is slow, and not a change."""


def find_latency_changes(look: Look) -> Iterator[Finding]:
    """Look at two weeks of each route's p95."""
    series: dict[tuple[str, str], dict[datetime, dict[str, Any]]] = defaultdict(dict)
    for row in look.ask(_P95, WEEKS * HOUR):
        series[row["service_name"], row["route"]][row["event_hour"]] = row
    hours = look.hours(WEEKS)
    for (service, route), told in sorted(series.items()):
        values = [told[hour]["p95_ms"] if hour in told else None for hour in hours]
        rise = find_rise(values, share=look.detect.change_share, least=look.detect.change_ms)
        if rise is None:
            continue
        since = hours[rise.at]
        yield Finding(
            kind="latency_change",
            service_name=service,
            service_version=told[since]["version"],
            subject=route,
            detail="slower than it was",
            says=f"p95 went from {rise.before:,.0f} to {rise.after:,.0f} ms "
            f"({rise.share:+.0%}) at {since:%d %b %H:%M} UTC",
            severity_text="warning",
            hours=tuple(hour for hour in hours[rise.at :] if hour in told),
        )


_RESOURCES = """
SELECT service_name, service_instance_id, metric_name, minute, value
FROM resources
WHERE event_hour >= $begin AND event_hour < $end
ORDER BY minute
"""

MEMORY = (
    "process.memory.usage",
    "process.runtime.cpython.memory",
    "container.memory.usage",
    "process_resident_memory_bytes",
    "process.open_file_descriptor.count",
)
LIMITS = ("process.memory.limit", "container.memory.limit")
LOOKED_BACK = 12

Points = list[tuple[float, float]]


def _resources(look: Look) -> dict[tuple[str, str], dict[str, Points]]:
    """Return (minute, value) by (service, instance) and metric, over half a day."""
    found: dict[tuple[str, str], dict[str, Points]] = defaultdict(lambda: defaultdict(list))
    begin = look.end - LOOKED_BACK * HOUR
    for row in look.ask(_RESOURCES, LOOKED_BACK * HOUR):
        minute = (row["minute"] - begin) / timedelta(minutes=1)
        key = (row["service_name"], row["service_instance_id"])
        found[key][row["metric_name"]].append((minute, row["value"]))
    return found


def find_leaks(look: Look) -> Iterator[Finding]:
    """Look at what each process used in half a day."""
    for (service, instance), metrics in sorted(_resources(look).items()):
        limits = [points[-1][1] for name in LIMITS if (points := metrics.get(name))]
        for name in MEMORY:
            limit = min(limits, default=None) if "memory" in name else None
            leak = find_leak(metrics.get(name, []), limit)
            if leak is None:
                continue
            end = "its limit" if leak.limit else "twice of what it is"
            yield Finding(
                kind="resource_leak",
                service_name=service,
                subject=name,
                detail="grows until it is spent",
                says=f"{name} of {instance} grows by {60 * leak.slope:,.0f} an hour (R² "
                f"{leak.fit:.2f}) and reaches {end} in {leak.minutes_left / 60:.1f} h",
                severity_text="fatal",
                of_service=True,
                hours=look.hours(LOOKED_BACK)[int(leak.begin // 60) :],
            )


def find_saturation(look: Look) -> Iterator[Finding]:
    """Look at the last half an hour of each processor, memory and pool."""
    for (service, instance), metrics in sorted(_resources(look).items()):
        for name, points in sorted(metrics.items()):
            if "utilization" in name and is_saturated(points, look.detect.saturation_share):
                yield Finding(
                    kind="saturation",
                    service_name=service,
                    subject=name,
                    detail="nearly all of it is used",
                    says=f"{name} of {instance} was at {look.detect.saturation_share:.0%} "
                    "or above for half an hour",
                    severity_text="error",
                    hours=look.hours(1),
                    of_service=True,
                )


_STEPS = """
WITH came AS (
    SELECT DISTINCT service_name, event_hour, coalesce(session_id, enduser_pseudo_id) AS visitor
    FROM uses_hourly
    WHERE feature = $first AND event_hour >= $begin AND event_hour < $end
),
went AS (
    SELECT DISTINCT event_hour, coalesce(session_id, enduser_pseudo_id) AS visitor
    FROM uses_hourly
    WHERE feature = $next AND event_hour >= $begin
)
SELECT
    came.service_name, came.event_hour, count(DISTINCT came.visitor) AS came,
    count(DISTINCT went.visitor) AS went_on
FROM came LEFT JOIN went
    ON came.visitor = went.visitor
    AND went.event_hour >= came.event_hour
    AND went.event_hour <= came.event_hour + INTERVAL 1 HOUR
WHERE came.visitor IS NOT NULL
GROUP BY came.service_name, came.event_hour
"""

FUNNEL_HOURS = 3
FUNNEL_WEEKS = 4


def find_funnel_drops(look: Look) -> Iterator[Finding]:
    """Look at the last hours from which visitors had time to go on, and at those of four weeks."""
    for funnel, steps in sorted(look.issues.funnels.items()):
        for first, next_step in itertools.pairwise(steps):
            yield from _drops(look, funnel, first, next_step)


def _drops(look: Look, funnel: str, first: str, next_step: str) -> Iterator[Finding]:
    # Who came in the last full hour may go on in the one that is not over: it is not looked at.
    back = FUNNEL_WEEKS * 7 * DAY + (FUNNEL_HOURS + 1) * HOUR
    parameters = {"first": first, "next": next_step, "begin": look.end - back, "end": look.end}
    now: dict[str, list[Step]] = defaultdict(list)
    usual: dict[str, list[Step]] = defaultdict(list)
    recent = look.hours(FUNNEL_HOURS + 1)[:-1]
    same = {hour - week * 7 * DAY for hour in recent for week in range(1, FUNNEL_WEEKS + 1)}
    for row in look.warehouse.query(_STEPS, parameters).to_dicts():
        step = Step(row["came"], row["went_on"])
        for hours, kept in ((recent, now), (same, usual)):
            if row["event_hour"] in hours:
                kept[row["service_name"]].append(step)
    for service, steps in sorted(now.items()):
        here, then = _sum(steps), _sum(usual[service])
        if is_drop(here, then, look.detect.funnel_sigmas):
            yield Finding(
                kind="funnel_drop",
                service_name=service,
                subject=first,
                detail=f"{funnel}: fewer go on to {next_step}",
                says=f"{here.rate:.0%} of {here.came} go on, {then.rate:.0%} of {then.came} did "
                "in the same hours of the weeks before",
                severity_text="error",
                hours=recent,
            )


def _sum(steps: Sequence[Step]) -> Step:
    return Step(sum(step.came for step in steps), sum(step.went_on for step in steps))


_DAYS = """
SELECT service_name, feature, event_date, CAST(sum(uses) AS BIGINT) AS uses
FROM usage_daily
WHERE event_date >= $begin AND event_date < $end
GROUP BY service_name, feature, event_date
"""

USAGE_DAYS = 60


def find_fading_features(look: Look) -> Iterator[Finding]:
    """Look at two months of full days of each feature."""
    today = look.end.replace(hour=0)
    days = [today - at * DAY for at in range(USAGE_DAYS, 0, -1)]
    uses: dict[str, dict[str, dict[datetime, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in look.ask(_DAYS, (USAGE_DAYS + 1) * DAY):
        uses[row["service_name"]][row["feature"]][row["event_date"]] = row["uses"]
    for service, features in sorted(uses.items()):
        whole = [sum(each.get(day, 0) for each in features.values()) for day in days]
        for feature, told in sorted(features.items()):
            counts = [told.get(day, 0) for day in days]
            fading = find_fading(counts, whole, unused_days=look.detect.unused_days)
            if fading is None or (any(day >= today for day in told) and not fading.left):
                continue
            kind, says = ("dying_feature", f"used {fading.left:.0%} as much as it was")
            if not fading.left:
                kind, says = ("unused_feature", f"not used for {fading.days_since} days")
            yield Finding(
                kind=kind,
                service_name=service,
                subject=feature,
                detail="used less and less" if fading.left else "used no more",
                says=says,
                severity_text="warning",
                hours=look.hours(1),
                met_by=_gone(look, service, feature),
            )


_GONE = """
SELECT enduser_pseudo_id
FROM uses_hourly
WHERE
    service_name = $service AND feature = $feature AND enduser_pseudo_id IS NOT NULL
    AND event_hour >= $begin AND event_hour < $end
GROUP BY enduser_pseudo_id
HAVING max(event_hour) < $week_ago
ORDER BY enduser_pseudo_id
"""


def _gone(look: Look, service: str, feature: str) -> tuple[Use, ...]:
    """Return the users of a feature who have not used it for a week: whom it lost."""
    parameters = {
        "service": service,
        "feature": feature,
        "begin": look.end - USAGE_DAYS * DAY,
        "end": look.end,
        "week_ago": look.end - 7 * DAY,
    }
    rows = look.warehouse.query(_GONE, parameters).rows()
    return tuple(Use(session_id=None, enduser_pseudo_id=name, uses=1) for (name,) in rows)


DETECTORS: tuple[Callable[[Look], Iterable[Finding]], ...] = (
    find_latency_changes,
    find_slow_paths,
    find_leaks,
    find_saturation,
    find_funnel_drops,
    find_fading_features,
)
