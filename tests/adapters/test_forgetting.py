"""Forgetting: what goes is listed and in the ledger before it goes, and a change keeps its own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from issue_rows import span_of
from sqlalchemy import Engine

from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.forgetting import FORGOTTEN, LOOKED_BACK, cuts_of, forget_old
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.retention import Cuts, Forgotten, Gone
from selfdrive_dagster.audit import verify
from selfdrive_dagster.config import Telemetry

NOW = datetime(2026, 11, 27, 16, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 27, tzinfo=UTC)


def days(count: int) -> datetime:
    return MIDNIGHT - timedelta(days=count)


CUTS = {
    "as shipped": (Telemetry(), [], Cuts(rows=days(90), counts=days(400), arguments=days(14))),
    "for ever": (
        Telemetry(retention_days=0, aggregates_days=0, keep_arguments_days=0), [], Cuts()
    ),
    "counts outlive their rows": (
        Telemetry(retention_days=90, aggregates_days=30, keep_arguments_days=0),
        [], Cuts(rows=days(90), counts=days(90)),
    ),
    "a change under way": (
        Telemetry(retention_days=7), [NOW, NOW - timedelta(days=20)],
        Cuts(rows=days(20) - LOOKED_BACK, counts=days(400), arguments=days(14)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_what_is_too_old_is_as_the_owner_says_and_a_change_needs(name: str) -> None:
    settings, under_way, expected = CUTS[name]
    assert cuts_of(settings, NOW, under_way) == expected


def test_what_goes_is_evidence_named_by_the_ledger(tmp_path: Path, engine: Engine) -> None:
    warehouse, ledger, evidence = Warehouse(tmp_path), Ledger(engine), Evidence(tmp_path)
    warehouse.append("spans", [span_of(NOW - timedelta(days=ago), ago) for ago in (1, 91, 95)])
    cuts = cuts_of(Telemetry(), NOW)
    done = forget_old(warehouse, ledger, evidence, cuts, NOW, "run-1")
    assert done.gone == (Gone(table="spans", what="rows", rows=2),)
    assert not forget_old(warehouse, ledger, evidence, cuts, NOW, "run-2").gone
    [row] = [one for one in ledger.entries() if one.entry.kind == FORGOTTEN]
    assert evidence.get(row.entry.body["listed"], Forgotten) == done
    assert row.entry.run_id == "run-1"
    assert verify(ledger.entries()) is None
