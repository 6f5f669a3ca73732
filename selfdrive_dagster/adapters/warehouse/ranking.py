"""Ranking from the tables: what `issues.gather` counts in memory, counted by DuckDB.

Lifetimes come from the models; the windows that end at `now` from issue events. Belongs here:
the questions. Does not belong: the formula (`issues.score`) or the models (`sql/issues`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from selfdrive_dagster.adapters.warehouse.live import LiveFile
from selfdrive_dagster.adapters.warehouse.rates import escalating, paging
from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.issues.business import Business
from selfdrive_dagster.issues.gather import DAY, HOUR, expected, hour_of, is_unhandled, same_hours
from selfdrive_dagster.issues.introducing import introduced_with
from selfdrive_dagster.issues.rank import IssueSummary, RankedIssue, rank
from selfdrive_dagster.issues.score import MOST_OF_ONE, RANKS, IssueStats, Weights
from selfdrive_dagster.issues.triage import TriageSettings

_LIVES = """
SELECT * FROM issue_stats
JOIN (SELECT * EXCLUDE (last_seen) FROM issue_newest) USING (issue_id) ORDER BY issue_id
"""

_RELEASES = """
SELECT issue_id, service_name, service_version, first_seen FROM issue_releases
"""

_RELEASED = """
SELECT service_name, service_version, min(first_seen) AS first_seen FROM releases
GROUP BY service_name, service_version
"""

_RECENT = """
WITH each AS (
    SELECT
        issue_id, source, coalesce(enduser_pseudo_id, session_id, trace_id, '') AS principal,
        sum(events) AS events,
        coalesce(sum(events) FILTER (WHERE timestamp > $hour_ago), 0) AS events_1h
    FROM occurrences
    WHERE timestamp > $day_ago AND timestamp <= $now
    GROUP BY ALL
),
counted AS (
    SELECT
        issue_id, source,
        CAST(sum(events) AS BIGINT) AS events,
        CAST(sum(events_1h) AS BIGINT) AS events_1h,
        CAST(sum(least(events, $most_of_one)) AS BIGINT) AS counted,
        CAST(sum(least(events_1h, $most_of_one)) AS BIGINT) AS counted_1h
    FROM each
    GROUP BY issue_id, source
),
hurt AS (
    SELECT
        issue_id, source,
        count(DISTINCT enduser_pseudo_id) AS users,
        count(DISTINCT session_id) AS sessions,
        count(DISTINCT trace_id) AS traces
    FROM occurrences
    WHERE timestamp > $day_ago AND timestamp <= $now
    GROUP BY issue_id, source
)
SELECT * FROM counted JOIN hurt USING (issue_id, source)
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
    SELECT trace_id, timestamp FROM spans UNION ALL SELECT trace_id, timestamp FROM occurrences
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
    business: Business | None = None,
    resolved: Mapping[str, datetime] | None = None,
) -> tuple[RankedIssue, ...]:
    """Return all issues as they stand at `now` (aware), worst first. Needs a refreshed warehouse.

    `resolved` tells when an issue was last held to be mended, so that an event after it is a
    regression. What is None nobody tells, and the ranking says unknown of it.
    """
    summaries = summarise_issues(warehouse, now, business or Business(), resolved)
    return rank(summaries, weights=weights, settings=settings)


def summarise_issues(
    warehouse: Warehouse,
    now: datetime,
    business: Business,
    resolved: Mapping[str, datetime] | None,
) -> tuple[IssueSummary, ...]:
    """Return one summary per issue, in the order of their ids.

    Models are refreshed one after the other: who looks in between finds one newer than another,
    and every issue all the same.
    """
    lives = warehouse.query(_LIVES).to_dicts()
    recent = _by_issue(_ask(warehouse, _RECENT, now, "now", "day_ago", "hour_ago", "most_of_one"))
    usual = _by_issue(_ask(warehouse, _USUAL, now, "this_hour", "same_hours"))
    releases = _by_issue(warehouse.query(_RELEASES).to_dicts())
    released = _firsts(warehouse.query(_RELEASED).to_dicts())
    active = _active(warehouse, now, lives, recent)
    services = {life["issue_id"]: _services(releases, life) for life in lives}
    pages = paging(warehouse, now, business.slo, services)
    last_hour = {life["issue_id"]: _last_hour(recent, life) for life in lives}
    first_seen = {life["issue_id"]: life["first_seen"] for life in lives}
    rising = escalating(warehouse, now, last_hour, first_seen)
    summaries = []
    for life in lives:
        name = life["issue_id"]
        stats = IssueStats(
            **_life(life),
            **_window(recent.get(name, []), usual.get(name, []), life["first_seen"], now),
            **active,
            now=now,
            criticality=business.worst_of(services[name]),
            business=business.weight_of(life["route"] or ""),
            is_regressed=_came_back(name, life["last_seen"], resolved),
            is_paging=pages[name],
            is_escalating=rising.get(name),
        )
        seen = releases.get(name, [])
        versions = _names(seen, "service_version")
        introduced = introduced_with(_firsts(seen), released)
        summaries.append(_summary(life, stats, services[name], versions, introduced))
    return tuple(summaries)


def _services(releases: Mapping[str, "_Rows"], life: Mapping[str, Any]) -> tuple[str, ...]:
    return _names(releases.get(life["issue_id"], []), "service_name")


def _last_hour(recent: Mapping[str, "_Rows"], life: Mapping[str, Any]) -> int:
    return _most(recent.get(life["issue_id"], []), "events_1h") or 0


def _firsts(rows: "_Rows") -> dict[tuple[str, str], datetime]:
    return {
        (row["service_name"], row["service_version"]): row["first_seen"]
        for row in rows
        if row["service_version"]
    }


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
        "most_of_one": MOST_OF_ONE,
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
        "counted_24h": _most(recent, "counted") or 0,
        "counted_1h": _most(recent, "counted_1h") or 0,
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
    introduced: str,
) -> IssueSummary:
    return IssueSummary(
        stats=stats,
        kind=life["kind"],
        exception_type=life["exception_type"],
        exception_template=life["exception_template"],
        culprit=life["culprit"],
        fp_rule=life["fp_rule"],
        services=services,
        versions=versions,
        sample_event_id=life["event_id"],
        in_app_paths=tuple(life["in_app_paths"] or ()),
        raised_in_app=life["raised_in_app"],
        introduced=introduced,
        says=life["says"] or "",
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
