"""The usage view from the tables. Belongs here: the questions; the reading is `issues.usage`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.issues.usage import FeatureDay, Journey, Usage, usage

HISTORY = timedelta(days=90)

_DAYS = """
SELECT service_name, feature, event_date, uses, failed, total_ms, sessions, users
FROM usage_daily
WHERE event_date >= $begin AND event_date < $until
"""

_HURT = """
SELECT service_name, route, CAST(sum(events) AS BIGINT) AS hurt
FROM occurrences
WHERE timestamp >= $begin AND timestamp < $until AND route IS NOT NULL
GROUP BY service_name, route
"""

_JOURNEYS = """
SELECT service_name, came_from, feature, CAST(sum(times) AS BIGINT) AS times
FROM journeys_daily
WHERE event_date >= $begin AND event_date < $until
GROUP BY service_name, came_from, feature
ORDER BY times DESC, service_name, came_from, feature
LIMIT 50
"""


_TRENDS = """
SELECT issue_id, event_hour, CAST(max(events) AS BIGINT) AS events
FROM issue_hourly
WHERE event_hour >= $begin AND event_hour <= $now AND list_contains($ids, issue_id)
GROUP BY issue_id, event_hour
"""


def trends(
    warehouse: Warehouse, ids: Sequence[str], now: datetime, back: timedelta
) -> dict[str, list[tuple[float, float]]]:
    """Return (hours since the beginning, events) of issues, hours without an event as zeros."""
    begin = now.replace(minute=0, second=0, microsecond=0) - back
    rows = warehouse.query(_TRENDS, {"begin": begin, "now": now, "ids": list(ids)}).rows()
    told = {(name, hour): events for name, hour, events in rows}
    hours = [begin + timedelta(hours=at) for at in range(int(back / timedelta(hours=1)) + 1)]
    return {
        name: [(float(at), float(told.get((name, hour), 0))) for at, hour in enumerate(hours)]
        for name in ids
    }


def view_usage(
    warehouse: Warehouse, now: datetime, *, days: int = 7, unused_days: int = 14
) -> Usage:
    """Return the view of the `days` days that end with today (UTC). Needs a refreshed warehouse."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until = today + timedelta(days=1)
    period = {"begin": until - timedelta(days=days), "until": until}
    history = {"begin": until - max(HISTORY, timedelta(days=2 * days)), "until": until}
    seen = warehouse.query(_DAYS, history).to_dicts()
    hurt = warehouse.query(_HURT, period).rows()
    walked = warehouse.query(_JOURNEYS, period).to_dicts()
    return usage(
        msgspec.convert(seen, list[FeatureDay]),
        {(service, route): count for service, route, count in hurt},
        until=until,
        period=days,
        unused_days=unused_days,
        journeys=msgspec.convert(walked, list[Journey]),
    )
