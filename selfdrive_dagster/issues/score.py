"""Scores: how much an issue hurts, with every part that led there.

    score = 100 · crit · Σ weight · part,   parts in [0, 1]

The formula and its weights are those of telemetry.md §4. A part that cannot be known is None,
weighs nothing, and says so: unknown is not zero. Belongs here: the arithmetic. Does not: where
the counts come from (`rank`, the warehouse).
"""

import math
from collections.abc import Callable
from datetime import datetime

import msgspec

FORMULA = "2026-12"
"""The version of the formula, kept with every score."""

LEVELS = {"fatal": 1.0, "error": 0.75, "warning": 0.5, "info": 0.25, "debug": 0.0}
RANKS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "fatal": 4}
"""`severity_rank` in `sql/issues`: the worst level of many is the greatest rank."""
UNHANDLED_BOOST = 0.25
_ALIASES = {"critical": "fatal", "warn": "warning", "trace": "debug", "notice": "info"}
CRITICALITY = {"critical": 1.0, "high": 0.85, "medium": 0.7, "low": 0.5}
VOLUME_CAP = 10_000
MOST_OF_ONE = 10
"""Events in a window that one user, session or trace counts for: nobody buys a rank alone."""
RECENCY_HALF_LIFE_HOURS = 24.0


class IssueStats(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one issue at one moment; windows end at `now`, times are UTC.

    `users`, `sessions` and `traces` count distinct ones of 24 h; None where no event carried
    any. `active_*` count those seen in all telemetry of 24 h. `expected_1h` is the usual number
    of events in an hour like this one. Counts are of the source that saw most: two SDKs that
    report one crash do not make it two. `counted_*` are those events with at most `MOST_OF_ONE`
    of each user (session, trace); None where nobody looked. `criticality`, `is_regressed`,
    `is_paging` and `is_escalating` are None where nobody tells; an issue of unknown criticality
    counts as critical. `business` is the owner's weight of the route, 0 to 1.
    """

    issue_id: str
    now: datetime
    first_seen: datetime
    last_seen: datetime
    events_total: int
    events_24h: int
    events_1h: int
    expected_1h: float = 0.0
    counted_24h: int | None = None
    counted_1h: int | None = None
    users: int | None = None
    sessions: int | None = None
    traces: int | None = None
    active_users: int | None = None
    active_sessions: int | None = None
    active_traces: int | None = None
    level: str = "error"
    unhandled: bool | None = None
    criticality: str | None = None
    is_regressed: bool | None = None
    is_paging: bool | None = None
    is_escalating: bool | None = None
    business: float = 1.0


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of the parts; they add up to 1. Proposals: calibrate on injected faults."""

    users: float = 0.30
    volume: float = 0.20
    severity: float = 0.20
    spike: float = 0.15
    recency: float = 0.10
    regression: float = 0.05


class ScorePart(msgspec.Struct, frozen=True, kw_only=True):
    """One part: `value` in [0, 1] or None when unknown, `points` = 100 · crit · weight · value."""

    name: str
    value: float | None
    weight: float
    points: float
    says: str


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The sum, 0 to 100, and everything it was made of."""

    total: float
    criticality: float
    parts: tuple[ScorePart, ...]
    formula_version: str = FORMULA
    criticality_says: str = ""


_Reading = tuple[float | None, str]


def score(stats: IssueStats, weights: Weights | None = None) -> Score:
    """Return the score of an issue. Pure: the same counts give the same score."""
    weights = weights or Weights()
    criticality, says = _criticality(stats)
    parts = tuple(
        _part(name, read(stats), getattr(weights, name), criticality) for name, read in _PARTS
    )
    total = math.fsum(part.points for part in parts)
    return Score(
        total=min(100.0, max(0.0, total)),
        criticality=criticality,
        parts=parts,
        criticality_says=says,
    )


def level_of(severity_text: str) -> str:
    """Return one of the five levels for what an SDK wrote (`WARN`, `ERROR2`, `critical`).

    What we do not know counts as an error: better looked at than lost.
    """
    name = severity_text.strip().lower().rstrip("0123456789")
    name = _ALIASES.get(name, name)
    return name if name in LEVELS else "error"


def _criticality(stats: IssueStats) -> tuple[float, str]:
    """Return the factor and its words. Unknown counts as critical: better looked at than lost."""
    says = f"the service is {stats.criticality}"
    if stats.criticality is None:
        says = "unknown: nobody told how critical the service is, so it counts as critical"
    if stats.business < 1.0:
        says += f", the route counts {stats.business:.2f}"
    return CRITICALITY.get(stats.criticality or "", 1.0) * stats.business, says


def _part(name: str, reading: _Reading, weight: float, criticality: float) -> ScorePart:
    value, says = reading
    points = 100.0 * criticality * weight * (value or 0.0)
    return ScorePart(name=name, value=value, weight=weight, points=points, says=says)


def _users(stats: IssueStats) -> _Reading:
    """Share of those who could be hurt that are, on a log scale; the first that is known."""
    for name in ("users", "sessions", "traces"):
        hurt, active = getattr(stats, name), getattr(stats, f"active_{name}")
        if hurt is not None:
            whole = max(hurt, active or 0)
            value = math.log1p(hurt) / math.log1p(whole) if whole else 0.0
            return value, f"{hurt} of {whole} {name} in 24 h"
    return None, "no event carried a user, session or trace"


def _volume(stats: IssueStats) -> _Reading:
    counted = _counted(stats.counted_24h, stats.events_24h)
    value = min(1.0, math.log1p(counted) / math.log1p(VOLUME_CAP))
    return value, f"{stats.events_24h} events in 24 h{_as(counted, stats.events_24h)}"


def _counted(counted: int | None, events: int) -> int:
    return events if counted is None else counted


def _as(counted: int, events: int) -> str:
    return f", counted as {counted}: {MOST_OF_ONE} of each at most" if counted < events else ""


def _severity(stats: IssueStats) -> _Reading:
    base = LEVELS[level_of(stats.level)]
    value = min(1.0, base + (UNHANDLED_BOOST if stats.unhandled else 0.0))
    handled = {True: "unhandled", False: "handled", None: "handled or not is unknown"}
    return value, f"{stats.level}, {handled[stats.unhandled]}"


def _spike(stats: IssueStats) -> _Reading:
    """How far the last hour lies above the usual one, in (smoothed) Poisson deviations."""
    counted = _counted(stats.counted_1h, stats.events_1h)
    above = (counted - stats.expected_1h) / math.sqrt(stats.expected_1h + 1.0)
    value = 1.0 - math.exp(-max(0.0, above) / 5.0)
    told = f"{stats.events_1h} in the last hour{_as(counted, stats.events_1h)}"
    return value, f"{told}, {stats.expected_1h:.1f} expected"


def _recency(stats: IssueStats) -> _Reading:
    hours = max(0.0, (stats.now - stats.last_seen).total_seconds() / 3600.0)
    return 0.5 ** (hours / RECENCY_HALF_LIFE_HOURS), f"last seen {hours:.1f} h ago"


def _regression(stats: IssueStats) -> _Reading:
    if stats.is_regressed is None:
        return None, "nobody told whether it was ever resolved"
    says = "came back after it was resolved" if stats.is_regressed else "not a regression"
    return float(stats.is_regressed), says


_PARTS: tuple[tuple[str, Callable[[IssueStats], _Reading]], ...] = (
    ("users", _users),
    ("volume", _volume),
    ("severity", _severity),
    ("spike", _spike),
    ("recency", _recency),
    ("regression", _regression),
)
