"""Telemetry: what happened, as typed tables."""

from datetime import UTC, datetime
from pathlib import Path

from dagster import AssetsDefinition

from selfdrive_dagster.adapters.event_log import prune
from selfdrive_dagster.adapters.ingest import Ingested, ingest_segments
from selfdrive_dagster.orchestration.build import plain_job
from selfdrive_dagster.orchestration.tables import telemetry_step
from selfdrive_dagster.orchestration.workshop import Workshop

TABLES = {
    "exceptions": "Every exception that an SDK reported, once, redacted, with its frames.",
    "spans": "Finished spans: who called what, how long it took and how it ended.",
    "log_events": "Log records, of SDKs and of the files that products write.",
    "metric_points": "Points of gauges, sums and histograms.",
    "product_events": "What people did: pages, clicks, steps; by pseudonym at most.",
    "sessions": "Sessions as Sentry's SDKs tell them: how each stood, or how many stood so.",
    "test_results": "How each test of the product's main branch went, from JUnit files.",
    "deployments": "When a version of a service was first seen.",
}


def ingest(workshop: Workshop) -> Ingested:
    """Read closed segments into the tables."""
    return ingest_segments(workshop.segments, workshop.warehouse)


def step(sql_dir: Path) -> AssetsDefinition:
    """Return the step that fills the typed tables."""
    return telemetry_step(sql_dir, ingest, TABLES)


def prune_log(workshop: Workshop, run_id: str) -> dict[str, int]:
    """Let go of what old runs told while they worked, and of old materializations of tables."""
    now = datetime.now(UTC)
    done = prune(workshop.engine, workshop.ledger, workshop.evidence, now, run_id)
    return {"operational": done.operational, "events": done.events, "runs": len(done.runs)}


tidy = plain_job("tidy", "Keeps Dagster's event log small; what a change names stays.", prune_log)
