"""Sessions of a rollout as telemetry tells them: who was there, who met the issue or a new one.

Who was there is told by spans: a session counts from its first request if a second one followed
within its window, as the proxy's log counts those that came back with their cookies. So health
checks and robots, which begin a session with each request, stay outside. Exceptions and logs tell
nobody's presence, since those who fail tell more of themselves; without spans nothing is measured.
A window is told once everything has come that will: both arms' newest spans, by their own clock
and ours, lie beyond its follow-up, and every exception until then has its issue. Where only one
arm goes on telling, a window's length more is waited; whether an arm's telemetry was lost is then
seen by its number of sessions (`rollout.canary.judge`). Late events change nothing any more.

Belongs here: counting in the warehouse. Does not belong: what the counts mean.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.live import LiveFile
from selfdrive_dagster.adapters.warehouse.store import Pick
from selfdrive_dagster.rollout.canary import Arms, Window
from selfdrive_dagster.rollout.canary.lines import Line, Source

COUNTED = frozenset({"issue", "new_crashes"})
"""The guardrails that telemetry tells; the others are the proxy's."""

SETTLE = timedelta(seconds=5)
"""Exporters send in batches: an event of one signal may come so much later than of another."""

_SESSIONS = """
WITH requests AS (
    SELECT session_id, source, service_version, span_id, min(timestamp) AS timestamp FROM spans
    WHERE service_name = $service AND timestamp >= $begin AND kind = 'SERVER'
        AND service_version IN ($canary, $stable) AND session_id IS NOT NULL
    GROUP BY ALL
), first AS (
    SELECT session_id, min(timestamp) AS began, arg_min(service_version, timestamp) AS version
    FROM requests GROUP BY session_id
), sessions AS (
    SELECT DISTINCT first.session_id, first.began, first.version
    FROM first INNER JOIN requests ON first.session_id = requests.session_id
    WHERE requests.timestamp < first.began + to_microseconds($width)
    GROUP BY first.session_id, first.began, first.version, requests.source
    HAVING count(*) >= 2
), known AS (
    SELECT DISTINCT issue_id FROM issue_events
    WHERE service_name = $service AND timestamp < $begin
), met AS (
    SELECT
        sessions.session_id,
        bool_or(events.issue_id = $issue) AS is_issue,
        bool_or(known.issue_id IS NULL) AS is_new
    FROM sessions
    INNER JOIN issue_events AS events ON sessions.session_id = events.session_id
    LEFT JOIN known ON events.issue_id = known.issue_id
    WHERE events.service_name = $service
        AND events.timestamp >= sessions.began
        AND events.timestamp < sessions.began + to_microseconds($width)
    GROUP BY sessions.session_id
)
SELECT
    (epoch_us(began) - epoch_us($begin)) // $width AS number,
    version = $canary AS is_canary,
    count(*) AS sessions,
    count(*) FILTER (WHERE is_issue) AS issue,
    count(*) FILTER (WHERE is_new) AS new_crashes
FROM sessions LEFT JOIN met ON sessions.session_id = met.session_id
GROUP BY ALL
"""

_REACHED = """
WITH newest AS (
    SELECT
        max(least(timestamp, received_at)) FILTER (WHERE service_version = $canary) AS canary,
        max(least(timestamp, received_at)) FILTER (WHERE service_version = $stable) AS stable,
        list(DISTINCT (epoch_us(timestamp) - epoch_us($begin)) // $width)
            FILTER (WHERE session_id IS NOT NULL) AS named
    FROM spans
    WHERE service_name = $service AND timestamp >= $since
        AND service_version IN ($canary, $stable)
), unnamed AS (
    SELECT min(exceptions.timestamp) AS unnamed FROM exceptions
    LEFT JOIN issue_events ON exceptions.event_id = issue_events.event_id
    WHERE exceptions.service_name = $service AND exceptions.timestamp >= $since
        AND issue_events.event_id IS NULL
)
SELECT canary, stable, named, unnamed FROM newest CROSS JOIN unnamed
"""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """Whose telemetry is counted: a service on two versions, since `begin`.

    `canary` and `stable` are what telemetry says as `service.version`.
    """

    service: str
    issue_id: str
    canary: str
    stable: str
    begin: datetime
    window_seconds: float


class _Reached(msgspec.Struct, frozen=True, kw_only=True):
    """How far telemetry has come: each arm's newest span, and the first event without its issue.

    `named` are the windows with a span that tells its session.
    """

    canary: datetime | None
    stable: datetime | None
    unnamed: datetime | None
    named: list[int] | None

    def passed(self, end: datetime, patience: timedelta) -> bool:
        """Say whether all that happened before `end` has come."""
        if self.unnamed is not None and self.unnamed < end:
            return False
        newest = [one for one in (self.canary, self.stable) if one is not None]
        if not newest:
            return False
        both = len(newest) == 2 and min(newest) >= end + SETTLE
        return both or max(newest) >= end + SETTLE + patience


def count_telemetry(
    warehouse: Warehouse, watched: Watched, windows: Sequence[Window]
) -> tuple[Line, ...]:
    """Return the lines of those windows that telemetry has passed, oldest first.

    `windows` are the ones that it said nothing of yet, oldest first. Where the proxy saw sessions
    and no span told its own, nothing is measured: such a line has no guardrail.
    """
    if not windows:
        return ()
    width = timedelta(seconds=watched.window_seconds)
    reached = _reached(warehouse, watched, windows[0].start - 2 * width)
    ready = [one for one in windows if reached.passed(one.start + 2 * width, width)]
    if not ready:
        return ()
    asked = {**_asked(watched), "issue": watched.issue_id}
    rows = warehouse.query(_SESSIONS, asked, pick=_since(watched.begin)).to_dicts()
    return tuple(_lines(watched, ready, rows, frozenset(reached.named or ())))


def _reached(warehouse: Warehouse, watched: Watched, since: datetime) -> _Reached:
    asked = {**_asked(watched), "since": since}
    (row,) = warehouse.query(_REACHED, asked, pick=_since(since)).to_dicts()
    return _Reached(**row)


def _lines(
    watched: Watched,
    ready: Sequence[Window],
    rows: Sequence[dict[str, Any]],
    named: frozenset[int],
) -> Iterator[Line]:
    width = timedelta(seconds=watched.window_seconds)
    for window in ready:
        number = (window.start - watched.begin) // width
        arms = {row["is_canary"]: row for row in rows if row["number"] == number}
        exposed, issue, crashes = (
            Arms(*(arms[arm][name] if arm in arms else 0 for arm in (True, False)))
            for name in ("sessions", "issue", "new_crashes")
        )
        near = named.intersection((number - 1, number, number + 1))
        unknown = window.exposed.total and not (exposed.total or near)
        yield Line(
            start=window.start,
            source=Source.TELEMETRY,
            exposed=exposed,
            affected={} if unknown else {"issue": issue, "new_crashes": crashes},
        )


def _asked(watched: Watched) -> dict[str, Any]:
    return {
        "service": watched.service,
        "canary": watched.canary,
        "stable": watched.stable,
        "begin": watched.begin,
        "width": round(watched.window_seconds * 1_000_000),
    }


def _since(begin: datetime) -> Pick:
    """Read of the large tables what may be as new as the rollout; of the issues all."""

    def pick(table: str, file: LiveFile) -> bool:
        return table == "issue_events" or file.last is None or file.last >= begin

    return pick
