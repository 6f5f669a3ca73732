"""How fast issues go: burn rates of the last hours, and hourly counts of the last week.

Belongs here: the questions to the tables. Does not belong: the rules (`issues.burning`,
`issues.escalating`).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from selfdrive_dagster.adapters.warehouse.live import LiveFile
from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.issues.burning import WINDOWS, Counts, is_paging
from selfdrive_dagster.issues.escalating import WEEK_HOURS, is_escalating
from selfdrive_dagster.issues.gather import HOUR, hour_of

_BAD = """
SELECT issue_id, source, {windows}
FROM occurrences
WHERE timestamp > $begin AND timestamp <= $now
    AND handled IS DISTINCT FROM TRUE AND kind IN ('exception', 'failed_request', 'timeout')
GROUP BY issue_id, source
"""

_REQUESTS = """
SELECT service_name, {windows}
FROM requests
WHERE timestamp > $begin AND timestamp <= $now
GROUP BY service_name
"""

_WEEK = """
SELECT issue_id, source, event_hour, events
FROM issue_hourly
WHERE event_hour >= $begin AND event_hour < $this_hour AND list_contains($busy, issue_id)
"""


def paging(
    warehouse: Warehouse,
    now: datetime,
    slo: float | None,
    services: Mapping[str, Collection[str]],
) -> dict[str, bool | None]:
    """Say of each issue whether it pages; `services` names where each was seen.

    None where nobody promised anything, or where the services reported no requests.
    """
    if slo is None:
        return dict.fromkeys(services)
    bad: dict[str, Counts] = {}
    for name, counts in _counted(warehouse, _BAD, "issue_id", now):
        # Two SDKs report one crash: the source that saw most counts.
        bad[name] = {w: max(counts[w], bad.get(name, NONE)[w]) for w in WINDOWS}
    requests = dict(_counted(warehouse, _REQUESTS, "service_name", now))
    return {
        name: is_paging(bad.get(name, NONE), _together(requests, where), slo)
        for name, where in services.items()
    }


NONE: Counts = dict.fromkeys(WINDOWS, 0)


def _together(requests: Mapping[str, Counts], services: Collection[str]) -> Counts:
    found = [requests[name] for name in services if name in requests]
    return {window: sum(each[window] for each in found) for window in WINDOWS}


def escalating(
    warehouse: Warehouse,
    now: datetime,
    last_hour: Mapping[str, int],
    first_seen: Mapping[str, datetime],
) -> dict[str, bool | None]:
    """Say of each issue with events in the last hour whether that is more than its week expects."""
    this_hour = hour_of(now)
    begin = this_hour - WEEK_HOURS * HOUR
    busy = [name for name, events in last_hour.items() if events]
    if not busy:
        return {}
    parameters = {"begin": begin, "this_hour": this_hour, "busy": busy}
    weeks: dict[str, dict[str, dict[datetime, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in warehouse.query(_WEEK, parameters).iter_rows(named=True):
        weeks[row["issue_id"]][row["source"]][row["event_hour"]] = row["events"]
    return {
        name: is_escalating(
            _series(weeks[name], max(begin, hour_of(first_seen[name])), this_hour), last_hour[name]
        )
        for name in busy
    }


def _series(
    sources: Mapping[str, Mapping[datetime, int]], begin: datetime, end: datetime
) -> list[int]:
    """Return the hourly counts from `begin` to before `end`, hours without an event as zeros."""
    hours = int((end - begin) / HOUR)
    return [
        max((counts.get(begin + at * HOUR, 0) for counts in sources.values()), default=0)
        for at in range(hours)
    ]


def _counted(
    warehouse: Warehouse, sql: str, key: str, now: datetime
) -> list[tuple[str, dict[timedelta, int]]]:
    """Return counts by window for each key."""
    begin = now - WINDOWS[-1]
    count = "CAST(sum(events) FILTER (WHERE timestamp > $w{at}) AS BIGINT) AS w{at}"
    if key == "service_name":
        count = "count(*) FILTER (WHERE timestamp > $w{at}) AS w{at}"
    windows = ", ".join(count.format(at=at) for at in range(len(WINDOWS)))
    parameters = {f"w{at}": now - window for at, window in enumerate(WINDOWS)}
    parameters |= {"now": now, "begin": begin}

    def in_window(_: str, file: LiveFile) -> bool:
        return file.last is None or file.last > begin

    found = warehouse.query(sql.format(windows=windows), parameters, pick=in_window)
    return [
        (row[key], {window: row[f"w{at}"] or 0 for at, window in enumerate(WINDOWS)})
        for row in found.iter_rows(named=True)
    ]
