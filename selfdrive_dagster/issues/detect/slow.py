"""Slow paths: where visitors spend their waiting.

A route is slow when it takes a large share of all the time that visitors of its service waited,
and takes long each time: a fast route that everybody calls is busy, not slow. Belongs here: the
rule. Does not belong: whether a route became slower (`changes`).
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

import msgspec

from selfdrive_dagster.issues.detect.findings import Finding


class RouteHour(msgspec.Struct, frozen=True, kw_only=True):
    """One route in one hour. Times in ms; `p95_ms` is None where no request told its time."""

    service_name: str
    route: str
    event_hour: datetime
    requests: int
    total_ms: float
    p95_ms: float | None = None


def slow_paths(hours: Iterable[RouteHour], *, share: float, slow_ms: float) -> tuple[Finding, ...]:
    """Return the routes with `share` of their service's waiting or more and `slow_ms` a request."""
    routes: dict[tuple[str, str], list[RouteHour]] = defaultdict(list)
    waiting: dict[str, float] = defaultdict(float)
    for hour in hours:
        routes[hour.service_name, hour.route].append(hour)
        waiting[hour.service_name] += hour.total_ms
    found = []
    for (service, route), seen in sorted(routes.items()):
        total = sum(hour.total_ms for hour in seen)
        each = total / max(1, sum(hour.requests for hour in seen))
        if total >= share * waiting[service] > 0 and each >= slow_ms:
            part = total / waiting[service]
            found.append(_finding(service, route, part, each, seen))
    return tuple(found)


def _finding(service: str, route: str, part: float, each: float, seen: list[RouteHour]) -> Finding:
    return Finding(
        kind="slow_path",
        service_name=service,
        subject=route,
        detail="takes much of all waiting",
        says=f"{part:.0%} of all waiting at {service} is spent here, {each:,.0f} ms a request",
        severity_text="warning",
        hours=tuple(sorted(hour.event_hour for hour in seen if hour.total_ms)),
    )
