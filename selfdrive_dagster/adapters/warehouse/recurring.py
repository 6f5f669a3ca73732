"""What became of skipped issues: when each was seen, hour by hour, and whether it grows.

Belongs here: the question to the tables. Does not belong: what ends a skip (`issues.skips`).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.issues.rank import RankedIssue
from selfdrive_dagster.issues.skips import Seen

_HOURS = """
SELECT issue_id, min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM issue_hourly
WHERE list_contains($names, issue_id)
GROUP BY issue_id, event_hour
ORDER BY issue_id, event_hour
"""


def seen_of(
    warehouse: Warehouse,
    names: Collection[str],
    ranked: Iterable[RankedIssue],
    resolved: Mapping[str, datetime],
    now: datetime,
) -> dict[str, Seen]:
    """Return what is known of these issues. Asks nothing when there are none."""
    if not names:
        return {}
    hours: dict[str, list[tuple[datetime, datetime]]] = {name: [] for name in names}
    for name, first, last in warehouse.query(_HOURS, {"names": sorted(names)}).rows():
        hours[name].append((first, last))
    rising = {issue.issue_id: issue.is_escalating for issue in ranked}
    return {
        name: Seen(
            now=now,
            hours=tuple(hours[name]),
            resolved=resolved.get(name),
            is_escalating=rising.get(name),
        )
        for name in names
    }
