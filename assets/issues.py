"""Issues: what hurts, from the tables of telemetry to one ranking."""

from datetime import UTC, datetime
from pathlib import Path

from dagster import AssetsDefinition

from selfdrive_dagster.adapters.canary import on_trial
from selfdrive_dagster.adapters.warehouse.resolved import keep_resolved
from selfdrive_dagster.adapters.warehouse.samples import telling_crashes
from selfdrive_dagster.adapters.warehouse.using import view_usage
from selfdrive_dagster.issues.board import Board, make_board, to_try
from selfdrive_dagster.issues.triage import TriageSettings
from selfdrive_dagster.issues.usage import Usage
from selfdrive_dagster.orchestration.observing import resolved
from selfdrive_dagster.orchestration.skipping import rank_skipping
from selfdrive_dagster.orchestration.tables import issues_step
from selfdrive_dagster.orchestration.workshop import Workshop

TABLES = {
    "issue_events": "Each exception with the issue that its fingerprint is in.",
    "issue_members": "Which fingerprints are in another's issue, by whose word, and why.",
    "detected": "What the detectors found in hourly numbers, by hour and by who met it.",
    "usage": "What is used most, grows, is slow, hurts, or is used no more.",
    "ranking": "Issues in the order in which they hurt: score, parts, triage and reasons.",
}


def rank(workshop: Workshop) -> Board:
    """Rank all issues as of now, and keep a telling crash of those that may be tried."""
    guarded = workshop.settings.autonomy.protected
    limits = TriageSettings(protected=guarded, on_trial=on_trial(workshop.home))
    now, gone = datetime.now(UTC), resolved(workshop)
    keep_resolved(workshop.warehouse.root, gone)
    ranked = rank_skipping(workshop, limits, now, gone)
    last_seen = {issue.issue_id: issue.last_seen for issue in to_try(ranked)}
    crashes = telling_crashes(workshop.warehouse, last_seen)
    return make_board(ranked, {name: workshop.evidence.put(c) for name, c in crashes.items()})


def see_usage(workshop: Workshop) -> Usage:
    """Read what is used, and what is used no more, as of now."""
    unused = workshop.settings.detect.unused_days
    return view_usage(workshop.warehouse, datetime.now(UTC), unused_days=unused)


def step(sql_dir: Path) -> AssetsDefinition:
    """Return the step that refreshes every model of `sql/` and the ranking."""
    return issues_step(sql_dir, rank, see_usage, TABLES)
