"""Every model and every test of `sql/` gives the same rows on Spark as on DuckDB.

Which models there are is read from the folder: a new one takes part by being there. Integers, texts
and times must be equal, floats to 1e-9 (docs/sql.md).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_telemetry import rows_of
from sql_probes import BY_ROW, CONSTRUCTS, WHOLE, alike

from selfdrive_dagster.adapters.spark import Spark
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import SqlModel, SqlTest, load_models, load_tests
from selfdrive_dagster.adapters.warehouse.refresh import check, on_duckdb, refresh
from selfdrive_dagster.adapters.warehouse.tables import ROW_TYPES

pytest.importorskip("pyspark")
pytestmark = [pytest.mark.spark, pytest.mark.timeout(1_200)]

SQL = Path(__file__).parents[2] / "sql"
MODELS = {model.name: model for model in load_models(SQL)}
TESTS = {f"{test.table}__{test.claim}": test for test in load_tests(SQL)}
MADE_BY_US = ("issue_events", "detected")
PROBES = {**BY_ROW, **WHOLE, **CONSTRUCTS}


@pytest.fixture(scope="module")
def spark() -> Iterator[Spark]:
    session = Spark("local[2]", "1g")
    yield session
    session.close()


def filled(folder: Path, seeds: tuple[int, ...] = (1,)) -> Warehouse:
    warehouse = Warehouse(folder)
    for table in ROW_TYPES:
        if table not in MADE_BY_US:
            for seed in seeds:
                warehouse.append(table, rows_of(table, 1_500, seed))
    return warehouse


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = filled(tmp_path_factory.mktemp("parity"))
    refresh(made, tuple(MODELS.values()))
    made.append("detected", rows_of("detected", 200))
    return made


def differences(one: Any, two: Any) -> list[tuple[Any, Any]]:
    """Return the first rows in which two frames differ, in an order that floats do not decide."""
    assert one.columns == two.columns
    assert one.dtypes == two.dtypes
    pairs = zip(_ordered(one), _ordered(two), strict=False)
    return [pair for pair in pairs if not alike(*pair)][:3]


def _ordered(frame: Any) -> list[tuple[Any, ...]]:
    def key(row: tuple[Any, ...]) -> tuple[Any, ...]:
        exact = tuple(str(each) for each in row if not isinstance(each, float))
        return exact, tuple(each for each in row if isinstance(each, float))

    return sorted(frame.rows(), key=key)


@pytest.mark.parametrize("name", [*MODELS, *TESTS])
def test_spark_makes_the_same_rows(name: str, warehouse: Warehouse, spark: Spark) -> None:
    asked: SqlModel | SqlTest = MODELS[name] if name in MODELS else TESTS[name]
    here, there = on_duckdb(warehouse, asked), spark(warehouse, asked)
    assert len(here) == len(there)
    assert not differences(here, there)


def test_every_model_had_rows_to_differ_in(warehouse: Warehouse) -> None:
    empty = [name for name, model in MODELS.items() if on_duckdb(warehouse, model).is_empty()]
    assert empty == []


@pytest.mark.parametrize("name", PROBES)
def test_spark_answers_a_probe(name: str, warehouse: Warehouse, spark: Spark) -> None:
    probe = PROBES[name]
    sql = probe.sql(is_whole=name in WHOLE)
    asked = SqlTest(
        table="none", claim="probe", description=name, sql=probe.on_duckdb(sql), portable=sql,
        depends_on=(),
    )  # fmt: skip
    found = spark(warehouse, asked).sort("place")["answer"].to_list()
    assert alike(found, probe.answers), found


def test_a_refresh_by_spark_ends_in_the_same_tables(tmp_path: Path, spark: Spark) -> None:
    """Late data on top: what Spark makes anew are the touched hours of the same live list."""
    chosen = ("requests", "route_hourly", "journeys_daily", "releases")
    models = [MODELS[name] for name in chosen]
    ours, theirs = filled(tmp_path / "ours"), filled(tmp_path / "theirs")
    refresh(theirs, models, answer=spark)
    late = rows_of("spans", 40, seed=2)
    for each in (ours, theirs):
        each.append("spans", late)
    done = {each.table: each.hours for each in refresh(theirs, models, answer=spark)}
    refresh(ours, models)
    assert done["releases"] == 0
    assert 0 < (done["requests"] or 0) < 31
    for name in chosen:
        here, there = (each.query(f"SELECT * FROM {name}") for each in (ours, theirs))
        assert not differences(here, there), name
        assert len(here) == len(there)


def test_a_claim_that_does_not_hold_is_found_by_spark_too(
    warehouse: Warehouse, spark: Spark
) -> None:
    broken = SqlTest(
        table="spans", claim="c", description="No span fails.", depends_on=("spans",),
        **dict.fromkeys(("sql", "portable"), "SELECT name FROM spans WHERE status_code = 'ERROR'"),
    )  # fmt: skip
    (here,), (there,) = check(warehouse, [broken]), check(warehouse, [broken], spark)
    assert here.broken == there.broken > 0
