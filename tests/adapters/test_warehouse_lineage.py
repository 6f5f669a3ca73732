"""Column lineage of the real models: every column is made from something, or is named here."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from selfdrive_dagster.adapters.warehouse.models import SqlModel, load_models
from selfdrive_dagster.adapters.warehouse.portable import lineage_of
from selfdrive_dagster.adapters.warehouse.tables import ROW_TYPES

SQL = Path(__file__).parents[2] / "sql"
Lineage = Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]]

TYPED = {name: kind.__struct_fields__ for name, kind in ROW_TYPES.items()}

COUNTED = {"service_hourly.requests", "route_hourly.requests", "journeys_daily.times"}
COUNTED |= {"uses_hourly.uses", "issue_stats.sources"}
"""Rows counted: `count(*)` reads no column."""

WORDS = {"active_hourly.kind", "patterns.kind", "patterns.severity_text", "retry_loops.detail"}
"""A literal of ours."""

UNKNOWN = {"failing_tests.trace_id", "failing_tests.session_id", "failing_tests.enduser_pseudo_id"}
UNKNOWN |= {
    f"{name}.trace_id"
    for name in ("abandoned_forms", "dead_clicks", "error_clicks", "rage_clicks", "u_turns")
}
"""Nobody tells it: NULL in each row."""

TRACED = {
    "whom an issue hurts": ("issue_stats", "users", "exceptions", "enduser_pseudo_id"),
    "an hour's sessions": ("issue_hourly", "sessions", "spans", "session_id"),
    "when it was seen": ("issue_newest", "last_seen", "product_events", "timestamp"),
    "how long a route takes": ("route_hourly", "p95_ms", "spans", "duration_ms"),
    "what was clicked, through a star": ("dead_clicks", "subject", "product_events", "target"),
    "a template, through its macro": ("error_logs", "subject", "log_events", "body"),
}
"""A column of a model, and one of telemetry that it comes from in the end."""


@pytest.fixture(scope="module")
def models() -> tuple[SqlModel, ...]:
    return load_models(SQL)


@pytest.fixture(scope="module")
def lineage(models: tuple[SqlModel, ...]) -> Lineage:
    return lineage_of(((model.name, model.sql) for model in models), TYPED)


def test_every_column_of_every_model_comes_from_something(
    lineage: Lineage, models: tuple[SqlModel, ...]
) -> None:
    assert set(lineage) == {model.name for model in models}
    bare = {f"{table}.{name}" for table in lineage for name, of in lineage[table].items() if not of}
    assert bare == COUNTED | WORDS | UNKNOWN


def test_no_column_comes_from_a_table_that_the_model_does_not_read(
    lineage: Lineage, models: tuple[SqlModel, ...]
) -> None:
    for model in models:
        origins = [origin for of in lineage[model.name].values() for origin in of]
        assert {table for table, _ in origins} <= set(model.depends_on), model.name
        for table, column in origins:
            assert column in TYPED.get(table, lineage.get(table, ())), (model.name, table, column)


@pytest.mark.parametrize("name", TRACED)
def test_a_number_can_be_traced_to_what_was_sent(name: str, lineage: Lineage) -> None:
    table, column, source, field = TRACED[name]
    assert (source, field) in roots(lineage, table, column)


def roots(lineage: Lineage, table: str, column: str) -> set[tuple[str, str]]:
    """Return the typed columns; what code makes by its name."""
    if table in ("issue_events", "detected"):
        return {("exceptions", column)}
    if table not in lineage:
        return {(table, column)}
    return {root for of in lineage[table][column] for root in roots(lineage, *of)}


def test_a_star_a_union_and_a_nested_query_are_looked_through() -> None:
    queries = (
        ("all_of_it", "WITH a AS (SELECT * FROM raw) SELECT * EXCLUDE (c) FROM a"),
        ("both", "SELECT a AS x FROM all_of_it UNION ALL SELECT d FROM other"),
        (
            "most",
            "SELECT m FROM (SELECT max(x + 1) AS m, count(*) AS n FROM both) AS s WHERE n > 1",
        ),
    )
    assert lineage_of(queries, {"raw": ("a", "b", "c"), "other": ("d",)}) == {
        "all_of_it": {"a": (("raw", "a"),), "b": (("raw", "b"),)},
        "both": {"x": (("all_of_it", "a"), ("other", "d"))},
        "most": {"m": (("both", "x"),)},
    }
