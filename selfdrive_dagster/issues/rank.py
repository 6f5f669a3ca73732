"""Ranking: issues in the order in which they hurt, each with its score, triage and reasons.

Belongs here: putting summaries in order. Does not belong: how the counts were made (`gather`
counts records in memory, the warehouse counts tables; both end in an `IssueSummary`).
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime

import msgspec

from selfdrive_dagster.issues.kinds import EXCEPTION, kind_of, title_of
from selfdrive_dagster.issues.score import IssueStats, Score, Weights, score
from selfdrive_dagster.issues.triage import Triage, TriageFacts, TriageSettings, triage


class IssueSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one issue: its counts and the facts of its newest event."""

    stats: IssueStats
    kind: str = EXCEPTION
    exception_type: str
    exception_template: str
    culprit: str
    fp_rule: str
    services: tuple[str, ...]
    versions: tuple[str, ...]
    sample_event_id: str
    in_app_paths: tuple[str, ...] = ()
    raised_in_app: bool | None = None
    introduced: str = ""
    says: str = ""


class RankedIssue(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ranking. `users`, `sessions` are of 24 h, None when no event told any.

    `kind` is a name of `kinds.KINDS`, `says` explains what is wrong, with its numbers where a
    detector told some. `is_paging` is None when nobody told burn rates,
    `is_escalating` when there is no history. `introduced` says with which version the issue came,
    "" where that is unknown; `otherwise` how it would stand without what lifts it most.
    """

    rank: int
    issue_id: str
    title: str
    kind: str = EXCEPTION
    says: str = ""
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
    is_escalating: bool | None = None
    introduced: str = ""
    otherwise: str = ""


def rank(
    summaries: Iterable[IssueSummary],
    *,
    weights: Weights | None = None,
    settings: TriageSettings | None = None,
) -> tuple[RankedIssue, ...]:
    """Return issues, worst first: those whose burn rate pages, then by score, then by id."""
    scored = [(summary, score(summary.stats, weights)) for summary in summaries]
    scored.sort(key=lambda pair: (*_order(*pair), pair[0].stats.issue_id))
    order = [_order(*pair) for pair in scored]
    return tuple(
        _ranked(place, summary, points, settings, _otherwise(place, summary, points, order))
        for place, (summary, points) in enumerate(scored, start=1)
    )


_Order = tuple[bool, float]


def _order(summary: IssueSummary, points: Score) -> _Order:
    return not summary.stats.is_paging, -points.total


def _otherwise(place: int, summary: IssueSummary, points: Score, order: list[_Order]) -> str:
    """Say how an issue would rank without its page, or without the part that lifts it most."""
    calm = not summary.stats.is_paging
    without = {"the page": (True, -points.total)} if not calm else {}
    without |= {
        f"its {part.name}": (calm, part.points - points.total)
        for part in points.parts
        if part.name in LIFTS and part.points
    }
    # The issue itself stands among the others at its own, better place.
    places = {name: bisect_left(order, key) for name, key in without.items()}
    name = max(places, key=lambda each: places[each], default="")
    return f"{places[name]} without {name}" if name and places[name] > place else ""


LIFTS = ("spike", "users", "volume", "regression")
"""Parts of a score that come and go; severity and age are what an issue is."""


def _ranked(
    place: int,
    summary: IssueSummary,
    points: Score,
    settings: TriageSettings | None,
    otherwise: str,
) -> RankedIssue:
    stats = summary.stats
    return RankedIssue(
        rank=place,
        issue_id=stats.issue_id,
        title=title_of(summary.kind, summary.exception_type, summary.exception_template),
        kind=summary.kind,
        says=summary.says or kind_of(summary.kind).says,
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
        is_escalating=stats.is_escalating,
        introduced=summary.introduced,
        otherwise=otherwise,
    )


def _facts(summary: IssueSummary) -> TriageFacts:
    return TriageFacts(
        issue_id=summary.stats.issue_id,
        kind=summary.kind,
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
