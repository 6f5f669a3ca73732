"""Dagster's event log, pruned: runs of real assets on real PostgreSQL, read back by Dagster."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import AssetKey, DagsterInstance
from sqlalchemy import Engine, text

from selfdrive_dagster.adapters.event_log import PRUNED, TABLES_FOR, TOLD_FOR, Pruned, prune
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.audit import Entry, verify
from selfdrive_dagster.orchestration.instance import opened, prepare_dagster_home

TABLE, CHANGE = AssetKey("spans"), AssetKey("diagnosis")


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="spans")])
def spans(context: dg.AssetExecutionContext):
    context.log.info("reading")
    return dg.MaterializeResult(
        metadata={"rows": 1}, check_results=[dg.AssetCheckResult(passed=True, check_name="sound")]
    )


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["chg_1"]))
def diagnosis(context: dg.AssetExecutionContext) -> None:
    context.log.info("diagnosing")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


def made(instance: DagsterInstance, key: AssetKey) -> list[str]:
    records = instance.fetch_materializations(key, limit=100).records
    return [record.run_id for record in records]


def told(engine: Engine) -> int:
    with engine.connect() as connection:
        query = "SELECT count(*) FROM dagster.event_logs WHERE dagster_event_type = 'STEP_START'"
        return int(connection.execute(text(query)).scalar_one())


def test_what_was_made_for_changes_and_the_newest_of_each_table_stay(
    home: Path, database_url: str, engine: Engine
) -> None:
    folder = prepare_dagster_home(home, database_url)
    ledger, evidence, now = Ledger(engine), Evidence(home), datetime.now(UTC)
    with opened(folder) as instance:
        runs = [dg.materialize([spans], instance=instance).run_id for _ in range(4)]
        change = dg.materialize([diagnosis], instance=instance, partition_key="chg_1").run_id
        pin = {"asset": "spans", "run_id": runs[1], "sha256": "0" * 64}
        body = {"asset": "diagnosis", "sha256": "1" * 64, "inputs": [pin]}
        ledger.append(
            Entry(at=now, actor="loop", kind=MADE, change_id="chg_1", body=body, run_id=change)
        )
        assert told(engine) == 5

        young = prune(engine, ledger, evidence, now, "run-0")
        assert young == Pruned(operational=0, events=0)

        day = prune(engine, ledger, evidence, now + TOLD_FOR + timedelta(minutes=1), "run-1")
        assert (day.operational > 20, day.events, told(engine)) == (True, 0, 0)
        assert made(instance, TABLE) == runs[::-1]

        week = prune(engine, ledger, evidence, now + TABLES_FOR + timedelta(minutes=1), "run-2")
        assert [one.run_id for one in week.runs] == [runs[0], runs[2]]
        assert made(instance, TABLE) == [runs[3], runs[1]]
        assert made(instance, CHANGE) == [change]
        assert all(instance.get_run_by_id(run) is not None for run in (*runs, change))

    [row] = [one for one in ledger.entries() if one.entry.kind == PRUNED]
    assert evidence.get(row.entry.body["listed"], Pruned) == week
    assert verify(ledger.entries()) is None
