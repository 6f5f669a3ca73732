"""A telling crash of an issue: the newest one that says most about its frames."""

import msgspec

from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.model import Crash

_NEWEST = """
SELECT crash_json
FROM exceptions JOIN issue_events USING (event_id)
WHERE issue_id = $issue_id
ORDER BY exceptions.timestamp DESC, event_id
LIMIT 40
"""


def telling_crash(warehouse: Warehouse, issue_id: str) -> Crash | None:
    """Return the newest crash whose frames carry variables, else the newest, else None.

    OpenTelemetry sends no locals; where two SDKs report one crash the other one tells more.
    """
    rows = warehouse.query(_NEWEST, {"issue_id": issue_id}).to_dicts()
    crashes = [msgspec.json.decode(row["crash_json"], type=Crash) for row in rows]
    return max(crashes, key=_told, default=None)


def _told(crash: Crash) -> int:
    return sum(frame.variables is not None for frame in crash.raised.frames)
