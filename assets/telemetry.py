"""Telemetry: what happened, as typed tables."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dagster import AssetsDefinition

from selfdrive_dagster.adapters.event_log import prune
from selfdrive_dagster.adapters.forgetting import cuts_of, forget_old
from selfdrive_dagster.adapters.ingest import Ingested, ingest_segments
from selfdrive_dagster.adapters.warehouse.retention import closed_before
from selfdrive_dagster.orchestration.build import plain_job
from selfdrive_dagster.orchestration.tables import telemetry_step
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.telemetry.late import Window

TABLES = {
    "exceptions": "Every exception that an SDK reported, once, redacted, with its frames.",
    "spans": "Finished spans: who called what, how long it took and how it ended.",
    "log_events": "Log records, of SDKs and of the files that products write.",
    "metric_points": "Points of gauges, sums and histograms.",
    "product_events": "What people did: pages, clicks, steps; by pseudonym at most.",
    "sessions": "Sessions as Sentry's SDKs tell them: how each stood, or how many stood so.",
    "test_results": "How each test of the product's main branch went, from JUnit files.",
    "deployments": "When a version of a service was first seen.",
    "late_events": "What arrived after its hour was closed: kept and counted apart.",
}


def ingest(workshop: Workshop) -> Ingested:
    """Read closed segments into the tables. What people hand over may be of any time."""
    hours = workshop.settings.telemetry.late_hours
    closed = closed_before(workshop.warehouse.root)
    sent, handed = workshop.segments
    windows = {
        sent: Window(after=timedelta(hours=hours) if hours else None, closed=closed),
        handed: Window(closed=closed),
    }
    return ingest_segments(workshop.segments, workshop.warehouse, windows=windows)


def step(sql_dir: Path) -> AssetsDefinition:
    """Return the step that fills the typed tables."""
    return telemetry_step(sql_dir, ingest, TABLES)


def prune_log(workshop: Workshop, run_id: str) -> dict[str, int]:
    """Let go of what old runs told while they worked, and of old materializations of tables."""
    now = datetime.now(UTC)
    done = prune(workshop.engine, workshop.ledger, workshop.evidence, now, run_id)
    return {"operational": done.operational, "events": done.events, "runs": len(done.runs)}


def forget_rows(workshop: Workshop, run_id: str) -> dict[str, int]:
    """Let go of rows, counts and captured arguments that are older than the owner keeps them."""
    now = datetime.now(UTC)
    under_way = [change.since for change in workshop.changes.all(active=True)]
    cuts = cuts_of(workshop.settings.telemetry, now, under_way)
    ledger, evidence = workshop.ledger, workshop.evidence
    done = forget_old(workshop.warehouse, ledger, evidence, cuts, now, run_id)
    return {f"{each.table}: {each.what}": each.rows for each in done.gone}


def keep_small(workshop: Workshop, run_id: str) -> dict[str, int]:
    """Do both."""
    return {**prune_log(workshop, run_id), **forget_rows(workshop, run_id)}


tidy = plain_job(
    "tidy",
    "Keeps Dagster's event log small, and tables as long as you say; what a change names stays.",
    keep_small,
)
