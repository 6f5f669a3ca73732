"""What the step of issues shows in the UI: the ranking, the view of usage, and how issues go.

Belongs here: metadata of their materializations. Does not belong: making them (`tables`).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

from selfdrive_dagster.adapters.warehouse.using import trends
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.issues.usage import Feature, Usage
from selfdrive_dagster.model.drawing import Points, as_markdown, draw
from selfdrive_dagster.orchestration.stages import Result, note
from selfdrive_dagster.orchestration.text import plain, table
from selfdrive_dagster.orchestration.workshop import Workshop

SHOWN = 20
DRAWN = 5
"""Issues in the plot: more lines cannot be told apart."""


def ranked(key: dg.AssetKey, board: Board, workshop: Workshop, run_id: str) -> Result:
    """Store the board as evidence: what a change is opened from must not move under it."""
    sha256 = note(key, workshop, board, (), run_id=run_id)
    rows = [
        (
            str(issue.rank),
            issue.title,
            f"{issue.score.total:.1f}",
            "unknown" if issue.users is None else str(issue.users),
            str(issue.events_24h),
            f"{issue.triage.decision.value}: {', '.join(issue.triage.reasons)}",
        )
        for issue in board.issues[:SHOWN]
    ]
    heads = ("#", "issue", "score", "users 24 h", "events 24 h", "triage")
    return dg.MaterializeResult(
        asset_key=key,
        metadata={
            "ranking": table(heads, rows),
            "skipped": table(("issue", "who, until when and why"), _skipped(board)),
            "dagster/row_count": len(board.issues),
            "as_of": datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": sha256,
        },
        data_version=dg.DataVersion(sha256),
    )


def _skipped(board: Board) -> list[tuple[str, str]]:
    skips = [each.triage.skip for each in board.issues]
    return [(skip.issue_id, skip.says) for skip in skips if skip]


USED: tuple[tuple[str, Callable[[Usage], tuple[Feature, ...]]], ...] = (
    ("most used", lambda view: view.most_used),
    ("fastest growing", lambda view: view.fastest_growing),
    ("slowest", lambda view: view.slowest),
    ("most painful", lambda view: view.most_painful),
    ("used no more", lambda view: view.dead),
)


def viewed(key: dg.AssetKey, view: Usage, lines: dict[str, Points]) -> Result:
    """Show the view of usage as tables, and the issues' hours as a plot."""
    heads = ("feature", "uses", "before", "users", "mean ms", "failed", "hurt")
    tables = {name: table(heads, [_used(each) for each in part(view)]) for name, part in USED}
    ways = [(way.came_from, way.feature, str(way.times)) for way in view.journeys]
    plot = draw("Events of the worst issues by hour", lines, {}, unit="h")
    return dg.MaterializeResult(
        asset_key=key,
        metadata={
            **tables,
            "journeys": table(("from", "to", "times"), ways),
            "trends": dg.MetadataValue.md(as_markdown(plot, "events by hour")),
            "days": view.days,
            "until": view.until.isoformat(),
        },
    )


def _used(each: Feature) -> tuple[str, ...]:
    return (
        f"{each.service_name}: {each.feature}",
        str(each.uses),
        str(each.uses_before),
        "unknown" if each.users is None else str(each.users),
        "unknown" if each.mean_ms is None else f"{each.mean_ms:.0f}",
        str(each.failed),
        str(each.hurt),
    )


def trends_of(
    board: Board, workshop: Workshop, back: timedelta = timedelta(hours=48)
) -> dict[str, Points]:
    """Return the events by hour of the worst issues."""
    now, worst = datetime.now(UTC), board.issues[:DRAWN]
    hours = trends(workshop.warehouse, [each.issue_id for each in worst], now, back)
    return {plain(each.title, 24): hours.get(each.issue_id, []) for each in worst}
