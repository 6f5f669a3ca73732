"""Refreshing: new exceptions get their issue, then every model is made anew where it was touched.

Once the hourly models are fresh, the detectors look (`detecting`), if an hour was completed.

What a table has seen of those it reads is kept as sequence numbers; files above them name the
event hours to rebuild. Made-anew hours replace the old ones, so late and repeated data end in
the same tables whatever the order. A kill in between only means that the work is done again.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from selfdrive_dagster.adapters.warehouse.detecting import detect, standing
from selfdrive_dagster.adapters.warehouse.files import ALL, HOUR, by_hour
from selfdrive_dagster.adapters.warehouse.live import write_file, writing
from selfdrive_dagster.adapters.warehouse.models import DETECTED, DETECTED_FROM, SqlModel, SqlTest
from selfdrive_dagster.adapters.warehouse.naming import (
    EVENTS,
    FINGERPRINTS,
    MEMBERS,
    name_all,
    name_new,
    point,
    standing_of,
)
from selfdrive_dagster.adapters.warehouse.retention import REFRESHING, closed_hour
from selfdrive_dagster.adapters.warehouse.store import Pick, Warehouse
from selfdrive_dagster.config import Settings
from selfdrive_dagster.issues import Grouping, grouping_version
from selfdrive_dagster.model import digest

if TYPE_CHECKING:
    import polars


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one table. `hours` were made anew, None when the whole table was."""

    table: str
    rows: int
    hours: int | None
    seconds: float


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a test found: 0 broken rows is a pass. `sample` holds the first few as text."""

    test: SqlTest
    broken: int
    sample: tuple[str, ...] = ()


class Answer(Protocol):
    """An engine: it answers a model or a test over the tables of a warehouse.

    `where` is a condition of ours on the rows of the answer, "" for none; `pick` says which files
    to read. The frame has the columns and types that DuckDB gives.
    """

    def __call__(
        self,
        warehouse: Warehouse,
        asked: SqlModel | SqlTest,
        where: str = "",
        pick: Pick | None = None,
    ) -> "polars.DataFrame":
        """Return the rows."""
        ...


def on_duckdb(
    warehouse: Warehouse,
    asked: SqlModel | SqlTest,
    where: str = "",
    pick: Pick | None = None,
) -> "polars.DataFrame":
    """Answer in this process."""
    sql = f"SELECT * FROM ({asked.sql}) AS made WHERE {where}" if where else asked.sql  # noqa: S608
    return warehouse.query(sql, pick=pick)


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far a table has read: the version of its recipe and a sequence per table."""

    version: str
    seen: dict[str, int]


def refresh(
    warehouse: Warehouse,
    models: Sequence[SqlModel],
    grouping: Grouping | None = None,
    settings: Settings | None = None,
    answer: Answer = on_duckdb,
) -> tuple[Refreshed, ...]:
    """Bring `issue_events`, all models and `detected` up to date, then merge small files.

    `answer` is the engine that makes the models; whichever it is, the tables are the same.

    One refresh at a time; a second one waits, then raises Busy.
    """
    state = warehouse.root / "refreshed.json"
    with writing(warehouse.root / REFRESHING):
        marks = _read_marks(state)
        done = []
        for name, step in _steps(warehouse, models, grouping, settings, answer):
            started = time.monotonic()
            mark, hours = step(marks.get(name))
            if mark != marks.get(name):
                marks[name] = mark
                write_file(state, msgspec.json.encode(marks))
            rows = sum(file.rows for file in warehouse.live(name).files)
            seconds = time.monotonic() - started
            done.append(Refreshed(table=name, rows=rows, hours=hours, seconds=seconds))
        same = {each.table for each in done if each.hours == 0}
        for name in warehouse.tables():
            if name not in same:
                warehouse.compact(name)
        return tuple(done)


def check(
    warehouse: Warehouse, tests: Iterable[SqlTest], answer: Answer = on_duckdb
) -> tuple[Checked, ...]:
    """Run tests and return how many rows break each claim."""
    results = []
    for test in tests:
        found = answer(warehouse, test)
        sample = tuple(str(row) for row in found.head(5).to_dicts())
        results.append(Checked(test=test, broken=len(found), sample=sample))
    return tuple(results)


_Step = Callable[[_Mark | None], tuple[_Mark, int | None]]


def _steps(
    warehouse: Warehouse,
    models: Sequence[SqlModel],
    grouping: Grouping | None,
    settings: Settings | None,
    answer: Answer,
) -> Iterable[tuple[str, _Step]]:
    settings = settings or Settings()
    yield EVENTS, partial(_name_issues, warehouse, grouping or Grouping())
    yield MEMBERS, partial(_point, warehouse, settings.issues.merge == "auto")
    made: set[str] = set()
    for model in models:
        if made.issuperset(DETECTED_FROM) and DETECTED not in made:
            made.add(DETECTED)
            yield DETECTED, partial(_detect, warehouse, settings)
        made.add(model.name)
        yield model.name, partial(_make, warehouse, model, answer)


def _detect(
    warehouse: Warehouse, settings: Settings, mark: _Mark | None
) -> tuple[_Mark, int | None]:
    """Let the detectors look at each new hour, after late data, and after new settings."""
    found = standing(warehouse)
    version = digest(msgspec.json.encode([found, settings.detect, settings.issues]))
    if found is None or (mark is not None and mark.version == version):
        return mark or _Mark(version="", seen={}), 0
    detect(warehouse, found.hour, settings.detect, settings.issues)
    return _Mark(version=version, seen={}), 1


def _name_issues(
    warehouse: Warehouse, grouping: Grouping, mark: _Mark | None
) -> tuple[_Mark, int | None]:
    """Give every new exception its issue; look at all of them when the grouping has changed."""
    version = grouping_version(grouping)
    live = warehouse.live("exceptions")
    done = _Mark(version=version, seen={"exceptions": live.sequence})
    if mark is not None and mark.version == version and not warehouse.live(EVENTS).lost:
        seen = mark.seen.get("exceptions", 0)
        name_new(warehouse, grouping, seen)
        return done, len({hour for file in live.since(seen) for hour in file.hours})
    name_all(warehouse, grouping)
    return done, None


def _point(warehouse: Warehouse, merges: bool, mark: _Mark | None) -> tuple[_Mark, int]:
    """Decide anew which fingerprints are one issue, when one is new or somebody decided."""
    seen = {name: warehouse.live(name).sequence for name in tables_there(warehouse, FINGERPRINTS)}
    done = _Mark(version=standing_of(warehouse, merges=merges), seen=seen)
    if done == mark and tables_there(warehouse, MEMBERS):
        return done, 0
    return done, point(warehouse, merges=merges)


def tables_there(warehouse: Warehouse, name: str) -> tuple[str, ...]:
    """Return the name if the table was made and nothing of it was lost, else nothing."""
    is_there = name in warehouse.tables() and not warehouse.live(name).lost
    return (name,) if is_there else ()


def _make(
    warehouse: Warehouse, model: SqlModel, answer: Answer, mark: _Mark | None
) -> tuple[_Mark, int | None]:
    """Make a model anew where the tables it reads were touched since `mark`."""
    version = digest(model.sql.encode())
    known = mark is not None and mark.version == version and not _is_damaged(warehouse, model)
    seen = mark.seen if mark is not None and known else {}
    live = {name: warehouse.live(name) for name in model.depends_on}
    done = _Mark(version=version, seen={name: each.sequence for name, each in live.items()})
    if known and done.seen == seen:
        return done, 0
    if not model.grain:
        warehouse.replace_partitions(model.name, {ALL: answer(warehouse, model)}, clear=True)
        return done, None
    closed = closed_hour(warehouse.root)
    known_hours = {hour for each in live.values() for file in each.files for hour in file.hours}
    touched = {
        hour
        for name, each in live.items()
        for file in each.since(seen.get(name, 0))
        for hour in file.hours
    }
    if model.full_hours and mark and known and touched <= {max(known_hours, default="")}:
        return mark, 0  # the hour that still goes on waits until it is over
    touched |= _around(touched, model.after, model.before) & known_hours
    made = {_floor(hour, model.grain) for hour in touched}
    # What the rows of a day were counted to stays when they have gone.
    made -= {hour for hour in made if closed and hour < _later(closed, model.before)}
    if known and not made:
        return done, 0
    empty, frames = _hours_of(warehouse, model, made, answer)
    warehouse.replace_partitions(
        model.name,
        frames,
        clear=not known,
        since=_later(closed, model.before) if closed else "",
        like=empty,
    )
    return done, len(made)


def _hours_of(
    warehouse: Warehouse, model: SqlModel, made: set[str], answer: Answer
) -> tuple["polars.DataFrame", Mapping[str, "polars.DataFrame"]]:
    """Return an empty frame of the model, and its rows by hour to make, empty ones too."""
    wanted = ", ".join(f"TIMESTAMPTZ '{hour}:00:00+00'" for hour in sorted(made))
    where = f"{model.grain} IN ({wanted})" if made else "FALSE"
    read = made | _around(made, model.before, model.after)
    found = answer(
        warehouse,
        model,
        where,
        lambda _, file: any(_floor(hour, model.grain) in read for hour in file.hours),
    )
    none = dict.fromkeys(sorted(made), found.clear())
    return found.clear(), {**none, **by_hour(found, model.grain)}


def _around(hours: Iterable[str], before: int, after: int) -> set[str]:
    """Return the hours from `before` hours before each to `after` hours after it."""
    steps = [step for step in range(-before, after + 1) if step]
    return {
        (datetime.strptime(hour, HOUR) + timedelta(hours=step)).strftime(HOUR)
        for hour in hours
        for step in steps
    }


def _later(hour: str, hours: int) -> str:
    return (datetime.strptime(hour, HOUR) + timedelta(hours=hours)).strftime(HOUR)


def _floor(hour: str, grain: str) -> str:
    return f"{hour[:10]}T00" if grain == "event_date" else hour


def _is_damaged(warehouse: Warehouse, model: SqlModel) -> bool:
    """Say whether parts of a model's own table were lost: they can be made again."""
    return model.name not in warehouse.tables() or bool(warehouse.live(model.name).lost)


def _read_marks(path: Path) -> dict[str, _Mark]:
    if not path.exists():
        return {}
    return msgspec.json.decode(path.read_bytes(), type=dict[str, _Mark])
