"""SQL models: `sql/<stage>/<table>.sql`, one portable SELECT each, and the tests beside them.

The first line is a comment that describes the table. What a model depends on is read from its
query. A model with a column `event_hour` (or `event_date`) must make the rows of an hour (day)
from rows of that hour (day) alone: then only touched hours are made anew. Tests
(`<table>__<claim>.test.sql`) must return no rows.

Belongs here: reading the files. Does not belong: running them (`refresh`).
"""

from collections.abc import Collection, Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.warehouse.portable import expand, lint, parse, tables_of
from selfdrive_dagster.adapters.warehouse.tables import ROW_TYPES
from selfdrive_dagster.errors import BadInput

GRAINS = ("event_hour", "event_date")
"""Columns that let a model be made anew in parts."""


class SqlTest(msgspec.Struct, frozen=True, kw_only=True):
    """A claim about a table: the query returns the rows that break it."""

    table: str
    claim: str
    description: str
    sql: str
    depends_on: tuple[str, ...]


class SqlModel(msgspec.Struct, frozen=True, kw_only=True):
    """A table made by a SELECT. `grain` is `event_hour`, `event_date` or "" for made as a whole."""

    name: str
    stage: str
    description: str
    sql: str
    depends_on: tuple[str, ...]
    grain: str = ""
    tests: tuple[SqlTest, ...] = ()


def load_models(sql_dir: Path) -> tuple[SqlModel, ...]:
    """Return every model, each after those it depends on.

    Raises BadInput naming the file for SQL that is not one portable SELECT, for a table that
    nobody makes, for two models of one name and for a circle.
    """
    tests = load_tests(sql_dir)
    files = sorted(path for path in sql_dir.glob("*/*.sql") if not _is_test(path))
    models = {path.stem: _model(path, tests) for path in files}
    if len(models) != len(files):
        raise BadInput(f"{sql_dir} holds two models of one name", remedy="rename one of them")
    for model in models.values():
        _known(f"{model.stage}/{model.name}.sql", model.depends_on, models)
    for test in tests:
        _known(f"{test.table}__{test.claim}.test.sql", (test.table, *test.depends_on), models)
    return tuple(models[name] for name in _ordered(models.values()) if name in models)


def load_tests(sql_dir: Path) -> tuple[SqlTest, ...]:
    """Return every test, those of typed tables too, in the order of their names."""
    return tuple(_test(path) for path in sorted(sql_dir.glob("*/*.test.sql")))


def _model(path: Path, tests: Iterable[SqlTest]) -> SqlModel:
    description, sql, depends_on, columns = _read(path)
    return SqlModel(
        name=path.stem,
        stage=path.parent.name,
        description=description,
        sql=sql,
        depends_on=depends_on,
        grain=next((name for name in GRAINS if name in columns), ""),
        tests=tuple(test for test in tests if test.table == path.stem),
    )


def _test(path: Path) -> SqlTest:
    table, between, claim = path.name.removesuffix(".test.sql").partition("__")
    if not between or not claim:
        raise BadInput(f"{path} must be named <table>__<claim>.test.sql")
    description, sql, depends_on, _ = _read(path)
    return SqlTest(
        table=table, claim=claim, description=description, sql=sql, depends_on=depends_on
    )


def _read(path: Path) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    text = path.read_text(encoding="utf-8")
    first, _, _ = text.partition("\n")
    if not first.startswith("-- ") or not first[3:].strip():
        raise BadInput(f"{path} has no description", remedy="say it in a first line `-- …`")
    query = parse(text, str(path))
    lint(query, str(path))
    sql = expand(query).sql(dialect="duckdb", comments=False)
    return first[3:].strip(), sql, tables_of(query), tuple(query.named_selects)


def _is_test(path: Path) -> bool:
    return path.name.endswith(".test.sql")


def _known(where: str, tables: Iterable[str], models: Collection[str]) -> None:
    unknown = [name for name in tables if name not in models and name not in ROW_TYPES]
    if unknown:
        known = ", ".join(sorted({*models, *ROW_TYPES}))
        raise BadInput(f"{where} reads {unknown[0]!r}, which nobody makes", remedy=f"use {known}")


def _ordered(models: Iterable[SqlModel]) -> tuple[str, ...]:
    try:
        return tuple(
            TopologicalSorter({model.name: model.depends_on for model in models}).static_order()
        )
    except CycleError as fault:
        raise BadInput(f"SQL models depend on each other: {' → '.join(fault.args[1])}") from fault
