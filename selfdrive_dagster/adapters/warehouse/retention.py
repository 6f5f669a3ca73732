"""Retention: rows go after their time, captured arguments sooner, what was counted later.

Days close before their rows go: a closed day is never counted anew (`refresh`), and what still
comes for it is late (`telemetry.late`). A cut is at a midnight (UTC), so there is work once a day.
Dropping is a rewrite through the live list, without a new place in the order of writes: who reads
the tables sees no news in it. A kill at any point means that the rest is done the next time.

Belongs here: which rows, and how. Does not belong: who decides when and writes it into the ledger
(`adapters.forgetting`). Evidence is not here: a change's records lie in a store of their own.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from selfdrive_dagster.adapters.warehouse.files import (
    ALL,
    HOUR,
    TIME_COLUMNS,
    CorruptTable,
    load,
    schema_name,
)
from selfdrive_dagster.adapters.warehouse.live import LiveFile, write_file, writing
from selfdrive_dagster.adapters.warehouse.store import Change, Changed, Warehouse
from selfdrive_dagster.adapters.warehouse.tables import TIMELESS
from selfdrive_dagster.model import Crash, canonical

if TYPE_CHECKING:
    import polars

STATE = "closed.json"
REFRESHING = ".refresh"
"""The lock under which tables are refreshed, or rows go: never both."""

WAIT_SECONDS = 300.0

COUNTED = frozenset({"occurrences", "detected"})
"""Tables of single sightings that issues are counted from: kept as long as the counts are."""


class Cuts(msgspec.Struct, frozen=True, kw_only=True):
    """What was received (of counts: happened) before these moments goes; None keeps it for ever."""

    rows: datetime | None = None
    counts: datetime | None = None
    arguments: datetime | None = None


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one table that go, or lose their `what`: "rows", "counts" or "arguments"."""

    table: str
    what: str
    rows: int


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What goes, and by which cuts."""

    cuts: Cuts
    gone: tuple[Gone, ...] = ()


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """`before` is where open days begin, `done` the cuts by which all has gone."""

    before: datetime | None = None
    done: Cuts | None = None


class _Rule(msgspec.Struct, frozen=True):
    """What goes of one table; `columns` are those that say it of a row."""

    table: str
    what: str
    before: datetime
    columns: tuple[str, ...]


def closed_before(root: Path) -> datetime | None:
    """Return the moment before which days are closed, None where no rows ever went."""
    return _read(root).before


def closed_hour(root: Path) -> str:
    """Return the same as an hour of a live list, "" for none."""
    before = closed_before(root)
    return before.strftime(HOUR) if before else ""


def forget(warehouse: Warehouse, cuts: Cuts, note: Callable[[Forgotten], None]) -> Forgotten:
    """Let go what is older than the cuts; `note` hears what goes before it does.

    Cheap when nothing is due. Raises Busy while a refresh goes on for long.
    """
    for table in warehouse.tables():
        warehouse.let_go(table)
    with writing(warehouse.root / REFRESHING, WAIT_SECONDS):
        state = _read(warehouse.root)
        if state.done == cuts:
            return Forgotten(cuts=cuts)
        rules = list(_rules(warehouse, cuts))
        counted = [(rule, _count(warehouse, rule)) for rule in rules]
        gone = tuple(Gone(table=r.table, what=r.what, rows=rows) for r, rows in counted if rows)
        planned = Forgotten(cuts=cuts, gone=gone)
        before = state.before
        if gone:
            note(planned)
        if cuts.rows and any(each.what == "rows" for each in gone):
            before = max(cuts.rows, before or cuts.rows)
            _write(warehouse.root, _State(before=before))
        for rule in rules:
            warehouse.rewrite(rule.table, _may_hold(rule), _change(rule))
        _write(warehouse.root, _State(before=before, done=cuts))
        return planned


def _rules(warehouse: Warehouse, cuts: Cuts) -> Iterator[_Rule]:
    for table in warehouse.tables():
        if table in TIMELESS:
            continue  # when a version was first seen is a count already, and small
        columns = _columns(warehouse, table)
        times = tuple(name for name in TIME_COLUMNS if name in columns)[:1]
        if not times:
            continue
        is_single = columns >= {"event_id", "timestamp"} and table not in COUNTED
        if is_single and cuts.rows:
            received = ("received_at",) if "received_at" in columns else ()
            yield _Rule(table, "rows", cuts.rows, times + received)
        elif not is_single and cuts.counts:
            yield _Rule(table, "counts", cuts.counts, times)
        if table in BARE and cuts.arguments:
            told = "row_json" if "row_json" in columns else "crash_json"
            yield _Rule(table, "arguments", cuts.arguments, ("received_at", told))


def _columns(warehouse: Warehouse, table: str) -> frozenset[str]:
    import polars

    live = warehouse.live(table)
    return frozenset(polars.read_parquet_schema(warehouse.root / table / schema_name(live.schema)))


def _may_hold(rule: _Rule) -> Callable[[LiveFile], bool]:
    """Say of a file whether it may hold something that goes, by what its list says."""
    cut = rule.before.strftime(HOUR)

    def may_hold(file: LiveFile) -> bool:
        is_old = min(file.hours, default=cut) < cut and not file.partition.endswith(f"_{ALL}")
        return is_old and not (rule.what == "arguments" and file.bare)

    return may_hold


def _count(warehouse: Warehouse, rule: _Rule) -> int:
    """Return how many rows go, reading no more than the columns that say so."""
    folder = warehouse.root / rule.table
    try:
        return sum(
            sum(_goes(rule, load(folder, file, rule.columns)))
            for file in filter(_may_hold(rule), warehouse.live(rule.table).files)
        )
    except CorruptTable:
        warehouse.verify(rule.table)
        raise


def _goes(rule: _Rule, frame: "polars.DataFrame") -> "polars.Series":
    """Say of each row whether it goes, or loses its arguments."""
    import polars

    if rule.what == "arguments":
        old, new = frame[rule.columns[1]], _bared(rule, frame)
        return old != new
    # A clock that runs ahead must not take an open day's rows away: all moments count.
    every = polars.all_horizontal(polars.col(name) < rule.before for name in rule.columns)
    return frame.select(every).to_series()


def _bared(rule: _Rule, frame: "polars.DataFrame") -> "polars.Series":
    """Return the column that tells crashes, without arguments in what came before the cut."""
    import polars

    received, told = (frame[name].to_list() for name in rule.columns)
    new = [
        BARE[rule.table](text) if when < rule.before else text
        for when, text in zip(received, told, strict=True)
    ]
    return polars.Series(rule.columns[1], new, dtype=polars.String)


def _change(rule: _Rule) -> Change:
    cut = rule.before.strftime(HOUR)

    def without_rows(file: LiveFile, frame: "polars.DataFrame") -> Changed:
        kept = frame.filter(~_goes(rule, frame))
        hours = [hour for hour in file.hours if hour >= cut]
        return (None if len(kept) == len(frame) else kept), hours, file.bare

    def without_arguments(file: LiveFile, frame: "polars.DataFrame") -> Changed:
        changed = frame.with_columns(_bared(rule, frame))
        is_bare = bool((frame["received_at"] < rule.before).all())
        return (None if changed.equals(frame) else changed), file.hours, is_bare

    return without_arguments if rule.what == "arguments" else without_rows


def bare(crash_json: str) -> str:
    """Return a crash's canonical JSON without what its frames captured; the same if nothing was."""
    if '"variables"' not in crash_json:
        return crash_json
    crash = msgspec.json.decode(crash_json, type=Crash)
    raised = tuple(
        msgspec.structs.replace(
            each,
            frames=tuple(msgspec.structs.replace(one, variables=None) for one in each.frames),
        )
        for each in crash.exceptions
    )
    if raised == crash.exceptions:
        return crash_json
    return canonical(msgspec.structs.replace(crash, exceptions=raised)).decode()


def _bare_row(row_json: str) -> str:
    row = msgspec.json.decode(row_json)
    told = row.get("crash_json", "")
    changed = bare(told)
    if changed == told:
        return row_json
    return msgspec.json.encode({**row, "crash_json": changed}).decode()


BARE: Mapping[str, Callable[[str], str]] = {"exceptions": bare, "late_events": _bare_row}
"""Tables whose rows hold captured arguments, and how what tells them is made without."""


def _read(root: Path) -> _State:
    path = root / STATE
    return msgspec.json.decode(path.read_bytes(), type=_State) if path.exists() else _State()


def _write(root: Path, state: _State) -> None:
    write_file(root / STATE, msgspec.json.encode(state))
