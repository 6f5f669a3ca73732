"""What the tables tell of one slow path: its recorded requests, and how long they took.

Belongs here: the questions. Does not belong: which routes are slow (`issues.detect.slow`), and what
to do about one (`patches.improve`).
"""

from datetime import timedelta

from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.rank import RankedIssue
from selfdrive_dagster.model import HttpRequest
from selfdrive_dagster.patches.improve import Effect, SlowPath, SlowRequest
from selfdrive_dagster.patches.improve.effects import SIGNAL

KIND = "slow_path"
LOOKED_BACK = timedelta(hours=24)
SIGHTING = timedelta(hours=1)
"""A finding is seen in full hours, told by their starts."""
RECORDED = 20

_SERVED = """
SELECT
    count(*) AS seen,
    quantile_cont(duration_ms, 0.95) AS p95_ms
FROM requests
WHERE
    service_name = $service AND route = $route AND duration_ms IS NOT NULL
    AND timestamp >= $begin AND timestamp < $last
"""

_REQUESTS = """
SELECT http_request_method, url_path, http_response_status_code, duration_ms
FROM requests
WHERE
    service_name = $service AND route = $route AND url_path IS NOT NULL
    AND duration_ms IS NOT NULL AND NOT is_failed
    AND timestamp >= $begin AND timestamp < $last
ORDER BY timestamp DESC, event_id
LIMIT $most
"""


def slow_path_of(warehouse: Warehouse, issue: RankedIssue) -> SlowPath:
    """Return a slow-path issue with the last requests of its route, in the order they came.

    Raises BadInput for an issue of another kind.
    """
    if issue.kind != KIND:
        raise BadInput(
            f"{issue.issue_id} is no slow path but a {issue.kind.replace('_', ' ')}.",
            remedy="`selfdrive issues` shows the kinds; crashes go to `selfdrive repair`",
        )
    service = issue.services[0] if issue.services else ""
    begin, last = issue.last_seen - LOOKED_BACK, issue.last_seen + SIGHTING
    asked = {"service": service, "route": issue.culprit, "begin": begin, "last": last}
    [served] = warehouse.query(_SERVED, asked).to_dicts()
    rows = warehouse.query(_REQUESTS, {**asked, "most": RECORDED}).to_dicts()
    return SlowPath(
        issue_id=issue.issue_id,
        service_name=service,
        route=issue.culprit,
        says=issue.says,
        requests=tuple(
            SlowRequest(
                request=HttpRequest(
                    method=row["http_request_method"] or "GET", url=row["url_path"]
                ),
                status=row["http_response_status_code"],
                duration_ms=row["duration_ms"],
            )
            for row in reversed(rows)
        ),
        p95_ms=served["p95_ms"],
        seen=served["seen"],
    )


_P95 = """
SELECT quantile_cont(duration_ms, 0.95) AS p95_ms
FROM requests
WHERE
    service_name = $service AND route = $subject AND duration_ms IS NOT NULL
    AND timestamp >= $begin AND timestamp < $last
"""

_USES = """
SELECT coalesce(sum(uses), 0) AS uses
FROM uses_hourly
WHERE
    service_name = $service AND feature = $subject
    AND event_hour >= $begin AND event_hour < $last
"""


def signals_of(warehouse: Warehouse, issue: RankedIssue) -> tuple[float | None, float | None]:
    """Return the p95 of an issue's route in ms, and the uses of its feature, in the last day.

    The p95 is None where no request of such a route was told; nobody's use is 0.
    """
    service = issue.services[0] if issue.services else ""
    begin, last = issue.last_seen - LOOKED_BACK, issue.last_seen + SIGHTING
    asked = {"service": service, "subject": issue.culprit, "begin": begin, "last": last}
    [p95] = warehouse.query(_P95, asked).to_dicts()
    [uses] = warehouse.query(_USES, asked).to_dicts()
    return p95["p95_ms"], float(uses["uses"])


_SIGNAL = """
SELECT count(*) AS seen, quantile_cont(duration_ms, 0.95) AS value
FROM requests
WHERE
    service_name = $service AND route = $route AND service_version = $version
    AND duration_ms IS NOT NULL
"""


def signal_of(warehouse: Warehouse, effect: Effect, version: str) -> tuple[float | None, int]:
    """Return the signal of an effect over the requests that a release served, and how many.

    Raises BadInput for a signal that the tables do not hold.
    """
    if effect.signal != SIGNAL:
        raise BadInput(
            f"The signal {effect.signal} cannot be read here.",
            remedy=f"only {SIGNAL} is; look at the issue with `selfdrive issue`",
        )
    asked = {"service": effect.service_name, "route": effect.subject, "version": version}
    [row] = warehouse.query(_SIGNAL, asked).to_dicts()
    return row["value"], row["seen"]
