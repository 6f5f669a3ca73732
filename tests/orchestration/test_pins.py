"""A pin names the record of its own partition, and only one that the ledger knows."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from sqlalchemy import Engine

from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.orchestration.pins import Pin, pin
from selfdrive_dagster.orchestration.stages import CHANGE, note
from selfdrive_dagster.orchestration.workshop import Workshop

KEY = dg.AssetKey(["patches", "diagnosis"])
CHANGES = ("chg_1", "chg_2", "chg_3")


@pytest.fixture
def workshop(engine: Engine, tmp_path: Path) -> Workshop:
    """The two stores that a pin and a note need; no product, no sandbox."""
    bench = SimpleNamespace(evidence=Evidence(tmp_path), ledger=Ledger(engine))
    return cast(Workshop, bench)


@pytest.fixture
def instance(workshop: Workshop) -> Iterator[dg.DagsterInstance]:
    """Each change has materialized the asset once, in order."""

    @dg.asset(key=KEY, partitions_def=CHANGE)
    def diagnosis(context: dg.AssetExecutionContext) -> Any:
        record = {"of": context.partition_key}
        told = {"run_id": context.run.run_id, "change_id": context.partition_key}
        sha256 = note(KEY, workshop, record, (), **told)
        return dg.MaterializeResult(metadata={"sha256": sha256})

    made = dg.DagsterInstance.ephemeral()
    made.add_dynamic_partitions("change", list(CHANGES))
    for change in CHANGES:
        assert dg.materialize([diagnosis], instance=made, partition_key=change).success
    yield made
    made.dispose()


def read(found: Pin, workshop: Workshop) -> dict[str, str]:
    return workshop.evidence.get(found.sha256, dict)


def test_a_pin_reads_its_own_partition(instance: dg.DagsterInstance, workshop: Workshop) -> None:
    """Dagster's own pointer names the newest of any partition: here chg_3."""
    for change in CHANGES:
        found = pin(instance, workshop.ledger, KEY, change)
        assert (found.partition, read(found, workshop)) == (change, {"of": change})


def test_an_event_that_anybody_reported_is_passed_over(
    instance: dg.DagsterInstance, workshop: Workshop
) -> None:
    true = pin(instance, workshop.ledger, KEY, "chg_1")
    forged = workshop.evidence.put({"of": "a stranger"})
    event = dg.AssetMaterialization(KEY, partition="chg_1", metadata={"sha256": forged})
    instance.report_runless_asset_event(event)
    assert pin(instance, workshop.ledger, KEY, "chg_1") == true


def test_what_was_never_made_is_told(instance: dg.DagsterInstance, workshop: Workshop) -> None:
    with pytest.raises(dg.Failure, match="no record that the ledger knows"):
        pin(instance, workshop.ledger, dg.AssetKey(["patches", "reproducer"]), "chg_1")
