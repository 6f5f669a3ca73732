"""The loop's ranking follows skips, and takes back one whose issue came back: once, and why."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine

from selfdrive_dagster.adapters.skips import Skips
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.config import Settings
from selfdrive_dagster.issues import Decision, TriageSettings
from selfdrive_dagster.issues.skips import skipping
from selfdrive_dagster.orchestration.skipping import rank_skipping
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.telemetry import Arrival, Redactor, read_records

MODELS = load_models(Path(__file__).parents[2] / "sql")
CRASH = """Traceback (most recent call last):
  File "/app/shop/cart.py", line 20, in total
    rate = rates[0]
IndexError: none
"""
SEEN = datetime.now(UTC)
NOW = SEEN + timedelta(minutes=5)
LIMITS = TriageSettings(min_events=1)


@pytest.fixture
def workshop(engine: Engine, tmp_path: Path) -> Workshop:
    """The stores that a ranking needs, with one crash in them."""
    warehouse = Warehouse(tmp_path)
    arrival = Arrival(received_at=SEEN, redactor=Redactor(key=bytes(32)))
    warehouse.append("exceptions", read_records(CRASH.encode(), "cart", arrival).exceptions)
    refresh(warehouse, MODELS)
    bench = SimpleNamespace(engine=engine, warehouse=warehouse, settings=Settings())
    return cast(Workshop, bench)


def skip(workshop: Workshop, ago: timedelta) -> str:
    [issue] = rank_issues(workshop.warehouse, NOW, settings=LIMITS)
    said = skipping(issue.issue_id, "7d", actor="ann", reason="known", at=NOW - ago)
    Skips(workshop.engine, workshop.warehouse.root).record(said)
    return issue.issue_id


def test_nothing_is_tried_on_what_an_operator_skips(workshop: Workshop) -> None:
    skip(workshop, timedelta(minutes=1))
    [issue] = rank_skipping(workshop, LIMITS, NOW, {})
    assert (issue.triage.decision, issue.triage.reasons[0]) == (Decision.SKIP, "skipped")
    [later] = rank_skipping(workshop, replace(LIMITS), NOW + timedelta(days=7), {})
    assert later.triage.skip is None


def test_an_issue_that_comes_back_is_judged_again_at_once(workshop: Workshop) -> None:
    name = skip(workshop, timedelta(hours=2))
    mended = {name: NOW - timedelta(hours=1)}
    for _ in range(2):
        [issue] = rank_skipping(workshop, LIMITS, NOW, mended)
        assert issue.triage.skip is None
        kept = Skips(workshop.engine, workshop.warehouse.root).all()
        assert [(each.verdict, each.actor) for each in kept] == [
            ("skip", "ann"),
            ("unskip", "selfdrive"),
        ]
    assert kept[-1].reason.endswith("after it was verified as gone")
