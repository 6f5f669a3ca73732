"""Ranking: issues in the order in which they hurt, each with its score, triage and reasons.

Belongs here: putting summaries in order. Does not belong: how the counts were made (`gather`
counts records in memory, the warehouse counts tables; both end in an `IssueSummary`).
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from selfdrive_dagster.issues.score import IssueStats, Score, Weights, score
from selfdrive_dagster.issues.triage import Triage, TriageFacts, TriageSettings, triage


class IssueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one issue: its counts and the facts of its newest event."""

    stats: IssueStats
    exception_type: str
    exception_template: str
    culprit: str
    fp_rule: str
    services: tuple[str, ...]
    versions: tuple[str, ...]
    sample_event_id: str
    in_app_paths: tuple[str, ...] = ()
    raised_in_app: bool | None = None


class RankedIssue(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ranking. `users`, `sessions` are of 24 h, None when no event told any.

    `is_paging` is None when nobody told burn rates.
    """

    rank: int
    issue_id: str
    title: str
    exception_type: str
    culprit: str
    services: tuple[str, ...]
    versions: tuple[str, ...]
    score: Score
    triage: Triage
    events_24h: int
    events_total: int
    users: int | None
    sessions: int | None
    first_seen: datetime
    last_seen: datetime
    sample_event_id: str
    fp_rule: str
    is_paging: bool | None = None


def rank(
    summaries: Iterable[IssueSummary],
    *,
    weights: Weights | None = None,
    settings: TriageSettings | None = None,
) -> tuple[RankedIssue, ...]:
    """Return issues, worst first: those whose burn rate pages, then by score, then by id."""
    scored = [(summary, score(summary.stats, weights)) for summary in summaries]
    scored.sort(
        key=lambda pair: (not pair[0].stats.is_paging, -pair[1].total, pair[0].stats.issue_id)
    )
    return tuple(
        _ranked(place, summary, points, settings)
        for place, (summary, points) in enumerate(scored, start=1)
    )


def _ranked(
    place: int, summary: IssueSummary, points: Score, settings: TriageSettings | None
) -> RankedIssue:
    stats = summary.stats
    return RankedIssue(
        rank=place,
        issue_id=stats.issue_id,
        title=f"{summary.exception_type}: {summary.exception_template}".rstrip(": "),
        exception_type=summary.exception_type,
        culprit=summary.culprit,
        services=summary.services,
        versions=summary.versions,
        score=points,
        triage=triage(_facts(summary), settings),
        events_24h=stats.events_24h,
        events_total=stats.events_total,
        users=stats.users,
        sessions=stats.sessions,
        first_seen=stats.first_seen,
        last_seen=stats.last_seen,
        sample_event_id=summary.sample_event_id,
        fp_rule=summary.fp_rule,
        is_paging=stats.is_paging,
    )


def _facts(summary: IssueSummary) -> TriageFacts:
    return TriageFacts(
        exception_type=summary.exception_type,
        level=summary.stats.level,
        events_total=summary.stats.events_total,
        last_seen=summary.stats.last_seen,
        now=summary.stats.now,
        in_app_paths=summary.in_app_paths,
        raised_in_app=summary.raised_in_app,
        culprit=summary.culprit,
        versions=summary.versions,
    )
