"""How many sessions a service had on which versions, and in how many of them an issue was met.

Belongs here: counting. Does not belong: what the counts mean (`audit.outcome`).
"""

from collections.abc import Collection
from datetime import datetime

from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.audit.outcome import Sessions

_COUNTED = """
WITH seen AS (
    SELECT service_name, service_version, session_id, timestamp FROM spans
    UNION ALL SELECT service_name, service_version, session_id, timestamp FROM log_events
    UNION ALL SELECT service_name, service_version, session_id, timestamp FROM exceptions
), here AS (
    SELECT session_id FROM seen
    WHERE service_name = $service AND timestamp >= $since AND timestamp < $until
        AND coalesce(list_contains($versions, service_version), FALSE) = $on_them
), met AS (
    SELECT session_id FROM issue_events
    WHERE issue_id = $issue AND timestamp >= $since AND timestamp < $until
        AND coalesce(list_contains($versions, service_version), FALSE) = $on_them
)
SELECT
    (SELECT count(*) FROM here) AS events,
    (SELECT count(DISTINCT session_id) FROM here) AS sessions,
    (SELECT count(*) FROM met) AS met_events,
    (SELECT count(DISTINCT session_id) FROM met) AS met_sessions
"""

_VERSIONS = """
SELECT service_version, min(timestamp) AS first_seen FROM deployments
WHERE service_name = $service GROUP BY service_version ORDER BY first_seen, service_version
"""


def versions_of(warehouse: Warehouse, service: str) -> dict[str, datetime]:
    """Return the versions of a service with the first sighting of each, oldest first."""
    rows = warehouse.query(_VERSIONS, {"service": service}).to_dicts()
    return {row["service_version"]: row["first_seen"] for row in rows}


def sessions_on(
    warehouse: Warehouse,
    service: str,
    issue_id: str,
    versions: Collection[str],
    *,
    on_them: bool,
    since: datetime,
    until: datetime,
) -> Sessions:
    """Count a service's sessions on some versions, or on all others, within a span of time."""
    asked = {
        "service": service,
        "issue": issue_id,
        "versions": list(versions),
        "on_them": on_them,
        "since": since,
        "until": until,
    }
    (row,) = warehouse.query(_COUNTED, asked).to_dicts()
    return as_sessions(**row)


def as_sessions(events: int, sessions: int, met_events: int, met_sessions: int) -> Sessions:
    """Return counts of sessions; where no event tells its session they are unknown.

    An issue that was met is told even then: by its events, since one is enough to know.
    """
    if not sessions:
        unknown = None if events else 0
        return Sessions(seen=unknown, affected=met_events or unknown)
    return Sessions(seen=sessions, affected=met_sessions or min(met_events, sessions))
