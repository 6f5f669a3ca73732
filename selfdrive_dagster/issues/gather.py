"""Counting in memory: issue events of a file to summaries, without a database.

The same rules as `sql/issues` (a test holds the two equal): windows end at `now`, an event is
counted once, and where two SDKs report the same crash the source that saw most counts.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from selfdrive_dagster.issues.escalating import is_escalating
from selfdrive_dagster.issues.events import IssueEventRow
from selfdrive_dagster.issues.rank import IssueSummary
from selfdrive_dagster.issues.score import MOST_OF_ONE, RANKS, IssueStats

DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
WEEKS = 4


def gather(events: Iterable[IssueEventRow], now: datetime) -> tuple[IssueSummary, ...]:
    """Return one summary per issue, in the order of their ids. Duplicates count once."""
    unique = {event.event_id: event for event in events}
    recent = [event for event in unique.values() if now - DAY < event.timestamp <= now]
    active = {
        name: len({v for e in recent if (v := getattr(e, name))}) or None for name in _PRINCIPALS
    }
    by_issue: dict[str, list[IssueEventRow]] = defaultdict(list)
    for event in unique.values():
        by_issue[event.issue_id].append(event)
    return tuple(summarise(by_issue[name], now, active) for name in sorted(by_issue))


def summarise(
    events: Sequence[IssueEventRow], now: datetime, active: Mapping[str, int | None]
) -> IssueSummary:
    """Return the summary of one issue from all of its events (at least one)."""
    newest = max(events, key=lambda event: (event.timestamp, event.event_id))
    recent = [event for event in events if now - DAY < event.timestamp <= now]
    first = min(event.timestamp for event in events)
    stats = IssueStats(
        issue_id=newest.issue_id,
        now=now,
        first_seen=first,
        last_seen=newest.timestamp,
        events_total=_most(events, len),
        events_24h=_most(recent, len),
        events_1h=_most([event for event in recent if event.timestamp > now - HOUR], len),
        counted_24h=_most(recent, _counted),
        counted_1h=_most([event for event in recent if event.timestamp > now - HOUR], _counted),
        expected_1h=_most(events, lambda part: _expected(part, first, now)),
        users=_distinct(recent, "enduser_pseudo_id"),
        sessions=_distinct(recent, "session_id"),
        traces=_distinct(recent, "trace_id"),
        active_users=active["enduser_pseudo_id"],
        active_sessions=active["session_id"],
        active_traces=active["trace_id"],
        is_escalating=_is_escalating(events, first, now),
        level=max((event.severity_text for event in events), key=RANKS.__getitem__),
        unhandled=is_unhandled(event.handled for event in events),
    )
    return IssueSummary(
        stats=stats,
        exception_type=newest.exception_type,
        exception_template=newest.exception_template,
        culprit=newest.culprit,
        fp_rule=newest.fp_rule,
        services=tuple(sorted({event.service_name for event in events if event.service_name})),
        versions=tuple(sorted({e.service_version for e in events if e.service_version})),
        sample_event_id=newest.event_id,
        in_app_paths=newest.in_app_paths,
        raised_in_app=newest.raised_in_app,
    )


def expected(same_hour: int, before: int, first: datetime, now: datetime) -> float:
    """Return the usual number of events in an hour like this one.

    The mean of the same weekday-hour over up to four weeks (`same_hour` events in those), where
    a week of history is known; else the mean over all full hours since the first event (`before`
    events in those); else 0.
    """
    hour, first = hour_of(now), hour_of(first)
    weeks = min(WEEKS, (hour - first) // WEEK)
    if weeks > 0:
        return same_hour / weeks
    hours = (hour - first) // HOUR
    return before / hours if hours > 0 else 0.0


def same_hours(now: datetime) -> tuple[datetime, ...]:
    """Return the starts of the same weekday-hour, one to four weeks ago."""
    return tuple(hour_of(now) - WEEK * back for back in range(1, WEEKS + 1))


def hour_of(when: datetime) -> datetime:
    """Return the start of the hour."""
    return when.replace(minute=0, second=0, microsecond=0)


def is_unhandled(handled: Iterable[bool | None]) -> bool | None:
    """Say whether any event was unhandled; None when no event told."""
    known = [value for value in handled if value is not None]
    return None if not known else not all(known)


def _counted(events: Sequence[IssueEventRow]) -> int:
    """Count at most `MOST_OF_ONE` events of each user, session or trace, whichever is known."""
    each = Counter(e.enduser_pseudo_id or e.session_id or e.trace_id for e in events)
    return sum(min(count, MOST_OF_ONE) for count in each.values())


T = TypeVar("T", int, float)

_PRINCIPALS = ("enduser_pseudo_id", "session_id", "trace_id")


def _expected(events: Sequence[IssueEventRow], first: datetime, now: datetime) -> float:
    hours = [hour_of(event.timestamp) for event in events]
    like_this = set(same_hours(now))
    same_hour = sum(hour in like_this for hour in hours)
    return expected(same_hour, sum(hour < hour_of(now) for hour in hours), first, now)


def _is_escalating(events: Sequence[IssueEventRow], first: datetime, now: datetime) -> bool | None:
    """Judge the last hour by the full hours of the week before; the busiest source counts."""
    last = _most([e for e in events if now - HOUR < e.timestamp <= now], len)
    begin = max(hour_of(first), hour_of(now) - WEEK)
    counts = [Counter(hour_of(e.timestamp) for e in part) for part in _by_source(events)]
    hours = [begin + at * HOUR for at in range(int((hour_of(now) - begin) / HOUR))]
    series = [max((each[hour] for each in counts), default=0) for hour in hours]
    return is_escalating(series, last) if last else None


def _by_source(events: Iterable[IssueEventRow]) -> list[list[IssueEventRow]]:
    parts: dict[str, list[IssueEventRow]] = defaultdict(list)
    for event in events:
        parts[event.source].append(event)
    return list(parts.values())


def _most(events: Iterable[IssueEventRow], count: Callable[[list[IssueEventRow]], T]) -> T:
    counts = [count(part) for part in _by_source(events)]
    return max(counts) if counts else count([])


def _distinct(events: Iterable[IssueEventRow], column: str) -> int | None:
    """Return the distinct values of the source that saw most; None if none told any."""
    found = [{v for e in part if (v := getattr(e, column))} for part in _by_source(events)]
    return max((len(each) for each in found), default=0) or None
