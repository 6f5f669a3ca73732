"""A telling crash of each issue: of its newest day and release, the first that says most.

The first and not the last: while a day's events come in, the choice stays, and so does what
is kept of it as evidence.
"""

from collections.abc import Mapping
from datetime import datetime, time

import msgspec

from selfdrive_dagster.adapters.warehouse.live import LiveFile
from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.model import Crash

_EARLY = """
WITH named AS (
    SELECT issue_id, event_id, timestamp, coalesce(service_version, '') AS version
    FROM issue_events
    WHERE list_contains($issues, issue_id)
), newest AS (
    SELECT
        issue_id, max(timestamp) AS last_seen,
        max_by(version, {'at': timestamp, 'event': event_id}) AS version
    FROM named GROUP BY issue_id
), numbered AS (
    SELECT
        issue_id, event_id,
        row_number() OVER (PARTITION BY issue_id ORDER BY timestamp, event_id) AS place
    FROM named JOIN newest USING (issue_id, version)
    WHERE timestamp >= date_trunc('day', last_seen)
)
SELECT issue_id, crash_json
FROM numbered JOIN exceptions USING (event_id)
WHERE place <= 40
ORDER BY issue_id, place
"""


def telling_crashes(warehouse: Warehouse, last_seen: Mapping[str, datetime]) -> dict[str, Crash]:
    """Return a crash of each issue: one whose frames carry variables before all others.

    `last_seen` says of each issue when it was seen last; files of the days before the earliest
    of them are not read. OpenTelemetry sends no locals; where two SDKs report one crash the
    other one tells more.
    """
    if not last_seen:
        return {}
    first = min(last_seen.values())
    midnight = datetime.combine(first.date(), time(), first.tzinfo)

    def is_recent(_: str, file: LiveFile) -> bool:
        return file.last is None or file.last >= midnight

    rows = warehouse.query(_EARLY, {"issues": list(last_seen)}, pick=is_recent).to_dicts()
    crashes: dict[str, list[Crash]] = {}
    for row in rows:
        crash = msgspec.json.decode(row["crash_json"], type=Crash)
        crashes.setdefault(row["issue_id"], []).append(crash)
    return {issue_id: max(known, key=_told) for issue_id, known in crashes.items()}


def _told(crash: Crash) -> int:
    return sum(frame.variables is not None for frame in crash.raised.frames)
