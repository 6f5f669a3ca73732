"""Ranking from the tables: what `issues.gather` counts in memory, counted by DuckDB.

Lifetimes come from the models; the windows that end at `now` from issue events. Belongs here:
the questions. Does not belong: the formula (`issues.score`) or the models (`sql/issues`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from selfdrive_dagster.adapters.warehouse.live import LiveFile
from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.issues.gather import DAY, HOUR, expected, hour_of, is_unhandled, same_hours
from selfdrive_dagster.issues.rank import IssueSummary, RankedIssue, rank
from selfdrive_dagster.issues.score import RANKS, IssueStats, Weights
from selfdrive_dagster.issues.triage import TriageSettings

_LIVES = """
SELECT * FROM issue_stats
JOIN (SELECT * EXCLUDE (last_seen) FROM issue_newest) USING (issue_id) ORDER BY issue_id
"""

_RELEASES = """
SELECT issue_id, service_name, service_version, last_seen FROM issue_releases
"""

_RECENT = """
SELECT
    issue_id, source, count(*) AS events,
    count(*) FILTER (WHERE timestamp > $hour_ago) AS events_1h,
    count(DISTINCT enduser_pseudo_id) AS users,
    count(DISTINCT session_id) AS sessions,
    count(DISTINCT trace_id) AS traces
FROM issue_events
WHERE timestamp > $day_ago AND timestamp <= $now
GROUP BY issue_id, source
"""

_USUAL = """
SELECT
    issue_id, source,
    CAST(sum(events) FILTER (WHERE list_contains($same_hours, event_hour)) AS BIGINT) AS same_hour,
    CAST(sum(events) FILTER (WHERE event_hour < $this_hour) AS BIGINT) AS before
FROM issue_hourly
GROUP BY issue_id, source
"""

_ACTIVE = """
SELECT kind, count(DISTINCT principal) AS active
FROM active_hourly
WHERE last_seen > $day_ago AND first_seen <= $now
GROUP BY kind
"""

_ACTIVE_TRACES = """
WITH seen AS (
    SELECT trace_id, timestamp FROM spans UNION ALL SELECT trace_id, timestamp FROM issue_events
)
SELECT count(DISTINCT trace_id) AS active FROM seen
WHERE timestamp > $day_ago AND timestamp <= $now
"""

_LEVEL_BY_RANK = {place: name for name, place in RANKS.items()}


def rank_issues(
    warehouse: Warehouse,
    now: datetime,
    *,
    weights: Weights | None = None,
    settings: TriageSettings | None = None,
    criticality: Mapping[str, str] | None = None,
    resolved: Mapping[str, datetime] | None = None,
    paging: frozenset[str] | None = None,
) -> tuple[RankedIssue, ...]:
    """Return all issues as they stand at `now` (aware), worst first. Needs a refreshed warehouse.

    `criticality` tells `service.criticality` by service name; `resolved` when an issue was last
    held to be mended, so that an event after it is a regression; `paging` names the issues whose
    burn rate pages. What is None nobody tells, and the ranking says unknown of it.
    """
    summaries = summarise_issues(warehouse, now, criticality or {}, resolved, paging)
    return rank(summaries, weights=weights, settings=settings)


def summarise_issues(
    warehouse: Warehouse,
    now: datetime,
    criticality: Mapping[str, str],
    resolved: Mapping[str, datetime] | None,
    paging: frozenset[str] | None,
) -> tuple[IssueSummary, ...]:
    """Return one summary per issue, in the order of their ids.

    Models are refreshed one after the other: who looks in between finds one newer than another,
    and every issue all the same.
    """
    lives = warehouse.query(_LIVES).to_dicts()
    recent = _by_issue(_ask(warehouse, _RECENT, now, "now", "day_ago", "hour_ago"))
    usual = _by_issue(_ask(warehouse, _USUAL, now, "this_hour", "same_hours"))
    releases = _by_issue(warehouse.query(_RELEASES).to_dicts())
    active = _active(warehouse, now, lives, recent)
    summaries = []
    for life in lives:
        name = life["issue_id"]
        services = _names(releases.get(name, []), "service_name")
        stats = IssueStats(
            **_life(life),
            **_window(recent.get(name, []), usual.get(name, []), life["first_seen"], now),
            **active,
            now=now,
            criticality=_worst(services, criticality),
            is_regressed=_came_back(name, life["last_seen"], resolved),
            is_paging=None if paging is None else name in paging,
        )
        versions = _names(releases.get(name, []), "service_version")
        summaries.append(_summary(life, stats, services, versions))
    return tuple(summaries)


_Rows = list[dict[str, Any]]


def _ask(warehouse: Warehouse, sql: str, now: datetime, *names: str) -> _Rows:
    """Answer a question about a window; files without a row of the last day are left out."""
    day_ago = now - DAY
    known: dict[str, Any] = {
        "now": now,
        "day_ago": day_ago,
        "hour_ago": now - HOUR,
        "this_hour": hour_of(now),
        "same_hours": list(same_hours(now)),
    }

    def in_window(_: str, file: LiveFile) -> bool:
        return "day_ago" not in names or file.last is None or file.last > day_ago

    parameters = {name: known[name] for name in names}
    return warehouse.query(sql, parameters, pick=in_window).to_dicts()


def _life(life: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `IssueStats` that an issue's whole life tells."""
    told = [False] * bool(life["unhandled_events"]) + [True] * bool(life["handled_events"])
    return {
        "issue_id": life["issue_id"],
        "first_seen": life["first_seen"],
        "last_seen": life["last_seen"],
        "events_total": life["events"],
        "level": _LEVEL_BY_RANK[life["severity_rank"]],
        "unhandled": is_unhandled(told),
    }


def _window(recent: _Rows, usual: _Rows, first: datetime, now: datetime) -> dict[str, Any]:
    """Return the fields of `IssueStats` that the last day tells."""
    return {
        "events_24h": _most(recent, "events") or 0,
        "events_1h": _most(recent, "events_1h") or 0,
        "expected_1h": _usual(usual, first, now),
        "users": _most(recent, "users"),
        "sessions": _most(recent, "sessions"),
        "traces": _most(recent, "traces"),
    }


def _summary(
    life: Mapping[str, Any],
    stats: IssueStats,
    services: tuple[str, ...],
    versions: tuple[str, ...],
) -> IssueSummary:
    return IssueSummary(
        stats=stats,
        exception_type=life["exception_type"],
        exception_template=life["exception_template"],
        culprit=life["culprit"],
        fp_rule=life["fp_rule"],
        services=services,
        versions=versions,
        sample_event_id=life["event_id"],
        in_app_paths=tuple(life["in_app_paths"]),
        raised_in_app=life["raised_in_app"],
    )


def _active(
    warehouse: Warehouse, now: datetime, lives: _Rows, recent: Mapping[str, _Rows]
) -> dict[str, Any]:
    """Count active users and sessions; traces only when an issue has neither."""
    window = ("now", "day_ago")
    by_kind = {row["kind"]: row["active"] for row in _ask(warehouse, _ACTIVE, now, *window)}
    told = all(
        _most(rows, "users") or _most(rows, "sessions")
        for rows in (recent.get(life["issue_id"], []) for life in lives)
    )
    traces = None if told else _ask(warehouse, _ACTIVE_TRACES, now, *window)[0]["active"]
    return {
        "active_users": by_kind.get("user"),
        "active_sessions": by_kind.get("session"),
        "active_traces": traces,
    }


def _names(rows: _Rows, column: str) -> tuple[str, ...]:
    return tuple(sorted({row[column] for row in rows if row[column]}))


def _by_issue(rows: _Rows) -> dict[str, _Rows]:
    found: dict[str, _Rows] = {}
    for row in rows:
        found.setdefault(row["issue_id"], []).append(row)
    return found


def _most(rows: _Rows, column: str) -> int | None:
    """Return the count of the source that saw most; None when no source saw any."""
    return max((row[column] for row in rows), default=0) or None


def _usual(rows: _Rows, first: datetime, now: datetime) -> float:
    return max(
        (expected(row["same_hour"] or 0, row["before"] or 0, first, now) for row in rows),
        default=0.0,
    )


def _came_back(
    name: str, last_seen: datetime, resolved: Mapping[str, datetime] | None
) -> bool | None:
    if resolved is None:
        return None
    return name in resolved and last_seen > resolved[name]


def _worst(services: tuple[str, ...], criticality: Mapping[str, str]) -> str | None:
    """Return the highest criticality of the services an issue was seen in.

    None when it is unknown: the service that nobody told of may be the most critical.
    """
    order = ("critical", "high", "medium", "low")
    told = {criticality.get(name) for name in services or ("",)}
    worst = next((level for level in order if level in told), None)
    return worst if worst == order[0] or None not in told else None
