"""SQL models: `sql/<stage>/<table>.sql`, one portable SELECT each, and the tests beside them.

The first line is a comment that describes the table. What a model depends on is read from its
query. A model with a column `event_hour` (or `event_date`) must make the rows of an hour (day)
from rows of that hour (day) alone: then only touched hours are made anew. What goes on across the
full hour needs more: a second line `-- reads 1 hour before` (`and 1 hour after`) says how much.
A second line `-- full hours only` leaves the newest hour out until it is over.
Numbers that an owner may set stand as `setting('name')`, a field of `config.Detect`. Tests
(`<table>__<claim>.test.sql`) must return no rows.

Belongs here: reading the files. Does not belong: running them (`refresh`).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.warehouse.portable import (
    expand,
    lint,
    parse,
    set_numbers,
    tables_of,
)
from selfdrive_dagster.adapters.warehouse.tables import ROW_TYPES
from selfdrive_dagster.config import Detect
from selfdrive_dagster.errors import BadInput

GRAINS = ("event_hour", "event_date")
"""Columns that let a model be made anew in parts."""


DETECTED = "detected"
"""The table that the detectors fill; who reads it comes after what they look at."""

DETECTED_FROM = ("route_hourly", "uses_hourly", "usage_daily", "resources")

FULL_HOURS = "-- full hours only"

_READS = re.compile(
    r"^-- reads(?: (?P<before>[1-9]) hours? before)?(?: and)?(?: (?P<after>[1-9]) hours? after)?$"
)


class SqlTest(msgspec.Struct, frozen=True, kw_only=True):
    """A claim about a table: the query returns the rows that break it.

    `sql` is for DuckDB, `portable` what it was made from: macros in it, numbers of the owner set.
    """

    table: str
    claim: str
    description: str
    sql: str
    portable: str
    depends_on: tuple[str, ...]


class SqlModel(msgspec.Struct, frozen=True, kw_only=True):
    """A table made by a SELECT. `grain` is `event_hour`, `event_date` or "" for made as a whole.

    The rows of an hour are made from `before` hours before it to `after` hours after it. With
    `full_hours` an hour is made once it is over. `sql` and `portable` are as of a test.
    """

    name: str
    stage: str
    description: str
    sql: str
    portable: str
    depends_on: tuple[str, ...]
    grain: str = ""
    before: int = 0
    after: int = 0
    full_hours: bool = False
    tests: tuple[SqlTest, ...] = ()


def load_models(sql_dir: Path, settings: Detect | None = None) -> tuple[SqlModel, ...]:
    """Return every model, each after those it depends on, with the owner's numbers in it.

    Raises BadInput naming the file for SQL that is not one portable SELECT, for a table that
    nobody makes, for two models of one name and for a circle.
    """
    settings = settings or Detect()
    tests = load_tests(sql_dir, settings)
    files = sorted(path for path in sql_dir.glob("*/*.sql") if not _is_test(path))
    models = {path.stem: _model(path, tests, settings) for path in files}
    if len(models) != len(files):
        raise BadInput(f"{sql_dir} holds two models of one name", remedy="rename one of them")
    for model in models.values():
        _known(f"{model.stage}/{model.name}.sql", model.depends_on, models)
        _in_hours(model, models)
    for test in tests:
        _known(f"{test.table}__{test.claim}.test.sql", (test.table, *test.depends_on), models)
    return tuple(models[name] for name in _ordered(models.values()) if name in models)


def load_tests(sql_dir: Path, settings: Detect | None = None) -> tuple[SqlTest, ...]:
    """Return every test, those of typed tables too, in the order of their names."""
    return tuple(_test(path, settings or Detect()) for path in sorted(sql_dir.glob("*/*.test.sql")))


def _model(path: Path, tests: Iterable[SqlTest], settings: Detect) -> SqlModel:
    read = _read(path, settings)
    grain = next((name for name in GRAINS if name in read.columns), "")
    if (read.before or read.after) and grain != "event_hour":
        raise BadInput(f"{path} reads hours around its own and has no column event_hour")
    return SqlModel(
        name=path.stem,
        stage=path.parent.name,
        description=read.description,
        sql=read.sql,
        portable=read.portable,
        depends_on=read.depends_on,
        grain=grain,
        before=read.before,
        after=read.after,
        full_hours=read.full_hours,
        tests=tuple(test for test in tests if test.table == path.stem),
    )


def _test(path: Path, settings: Detect) -> SqlTest:
    table, between, claim = path.name.removesuffix(".test.sql").partition("__")
    if not between or not claim:
        raise BadInput(f"{path} must be named <table>__<claim>.test.sql")
    read = _read(path, settings)
    return SqlTest(
        table=table,
        claim=claim,
        description=read.description,
        sql=read.sql,
        portable=read.portable,
        depends_on=read.depends_on,
    )


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a file of SQL."""

    description: str
    sql: str
    portable: str
    depends_on: tuple[str, ...]
    columns: tuple[str, ...]
    before: int
    after: int
    full_hours: bool


def _read(path: Path, settings: Detect) -> _File:
    text = path.read_text(encoding="utf-8")
    first, second, *_ = (*text.splitlines(), "", "")
    if not first.startswith("-- ") or not first[3:].strip():
        raise BadInput(f"{path} has no description", remedy="say it in a first line `-- …`")
    query = parse(text, str(path))
    lint(query, str(path))
    query = set_numbers(query, settings)
    before, after = _around(second, path)
    return _File(
        description=first[3:].strip(),
        sql=expand(query).sql(dialect="duckdb", comments=False),
        portable=query.sql(dialect="duckdb", comments=False),
        depends_on=tables_of(query),
        columns=tuple(query.named_selects),
        before=before,
        after=after,
        full_hours=second == FULL_HOURS,
    )


def _around(line: str, path: Path) -> tuple[int, int]:
    """Return how many hours before and after its own a model reads."""
    if not line.startswith("-- reads"):
        return 0, 0
    found = _READS.match(line)
    if not found or not any(found.groups()):
        raise BadInput(
            f"{path}: {line!r}", remedy="write `-- reads 1 hour before and 1 hour after`"
        )
    return int(found["before"] or 0), int(found["after"] or 0)


def _in_hours(model: SqlModel, models: Mapping[str, SqlModel]) -> None:
    """Refuse a table by hours made from one without: nobody would know which hours to make anew."""
    whole = [name for name in model.depends_on if name in models and not models[name].grain]
    if model.grain and whole:
        raise BadInput(
            f"{model.stage}/{model.name}.sql is made by hours from {whole[0]!r}, which has none",
            remedy=f"select event_hour in {whole[0]}.sql, by its name",
        )


def _is_test(path: Path) -> bool:
    return path.name.endswith(".test.sql")


def _known(where: str, tables: Iterable[str], models: Collection[str]) -> None:
    unknown = [name for name in tables if name not in models and name not in ROW_TYPES]
    if unknown:
        known = ", ".join(sorted({*models, *ROW_TYPES}))
        raise BadInput(f"{where} reads {unknown[0]!r}, which nobody makes", remedy=f"use {known}")


def _ordered(models: Iterable[SqlModel]) -> tuple[str, ...]:
    reads = {model.name: model.depends_on for model in models}
    try:
        return tuple(TopologicalSorter({DETECTED: DETECTED_FROM, **reads}).static_order())
    except CycleError as fault:
        raise BadInput(f"SQL models depend on each other: {' → '.join(fault.args[1])}") from fault
