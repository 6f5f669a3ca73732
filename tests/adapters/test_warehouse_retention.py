"""Retention: old rows go, what was counted from them stays, and a kill loses nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from issue_rows import NOW, crash_of, row_of, span_of
from msgspec import json, structs

from selfdrive_dagster.adapters.warehouse import CorruptTable, Warehouse
from selfdrive_dagster.adapters.warehouse.models import SqlModel, load_models
from selfdrive_dagster.adapters.warehouse.refresh import check, refresh
from selfdrive_dagster.adapters.warehouse.retention import (
    Cuts,
    Forgotten,
    closed_before,
    forget,
)
from selfdrive_dagster.model import Crash
from selfdrive_dagster.telemetry.late import late_row
from selfdrive_dagster.telemetry.rows import DeploymentRow, ExceptionRow

SQL = Path(__file__).parents[2] / "sql"
MODELS = load_models(SQL)
HERE = Path(__file__).parent
DAY = timedelta(days=1)
CUT = datetime(2026, 11, 20, tzinfo=NOW.tzinfo)
ROWS = Cuts(rows=CUT)
KEPT = 85
"""Half hours from the cut to half past twelve of the 23rd: so many crashes, and spans, stay."""


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


def deaf(_: Forgotten) -> None:
    """Note nothing."""


def fill(warehouse: Warehouse, days: int = 6) -> None:
    """A crash and a span of each hour of some days, arrived at once each."""
    for day in range(days):
        hours = [day * 24 + hour for hour in range(24)]
        crashes = [crash_of(ago=timedelta(hours=hour), user=f"u{hour}") for hour in hours]
        rows = [row_of(crash, crash.timestamp or NOW) for crash in crashes]
        warehouse.append("exceptions", rows)
        warehouse.append("spans", [span_of(NOW - timedelta(hours=hour), hour) for hour in hours])


def count(warehouse: Warehouse, table: str) -> int:
    return int(warehouse.query(f"SELECT count(*) AS n FROM {table}")["n"][0])


def oldest(warehouse: Warehouse, table: str) -> Any:
    return warehouse.query(f"SELECT min(timestamp) AS t FROM {table}")["t"][0]


COUNTS = ("occurrences", "issue_hourly", "issue_user_daily", "active_hourly", "service_hourly",
          "issue_stats", "issue_newest", "issue_releases", "route_hourly")  # fmt: skip


def counts(warehouse: Warehouse) -> dict[str, list[str]]:
    return {
        name: sorted(map(repr, warehouse.query(f"SELECT * FROM {name}").rows())) for name in COUNTS
    }


@pytest.mark.parametrize("merged", [False, True], ids=["files of an hour", "one file for all"])
def test_old_rows_go_and_what_was_counted_from_them_stays(
    warehouse: Warehouse, merged: bool
) -> None:
    fill(warehouse)
    refresh(warehouse, MODELS)
    if merged:
        for table in warehouse.tables():
            warehouse.compact(table, everything=True)
    before = counts(warehouse)
    told: list[Forgotten] = []
    done = forget(warehouse, ROWS, told.append)
    assert told == [done]
    for table in ("exceptions", "spans", "issue_events", "requests"):
        gone = next(each.rows for each in done.gone if each.table == table)
        assert (gone, count(warehouse, table)) == (6 * 24 - KEPT, KEPT)
        assert oldest(warehouse, table) >= CUT
    assert {each.hours for each in refresh(warehouse, MODELS)} == {0}
    assert counts(warehouse) == before
    assert all(found.broken == 0 for m in MODELS for found in check(warehouse, m.tests))


def changed(model: SqlModel) -> SqlModel:
    return structs.replace(model, sql=f"SELECT * FROM ({model.sql}) AS newer")


TOUCHES: dict[str, Callable[[SqlModel], SqlModel]] = {
    "more of an old day": lambda model: model,
    "a model that changed": changed,
}


@pytest.mark.parametrize("name", TOUCHES)
def test_a_closed_day_is_never_counted_anew(warehouse: Warehouse, name: str) -> None:
    fill(warehouse)
    refresh(warehouse, MODELS)
    forget(warehouse, ROWS, deaf)
    before = counts(warehouse)
    old = crash_of(ago=5 * DAY, user="u-old")
    warehouse.append("exceptions", [row_of(old, NOW)])
    refresh(warehouse, [TOUCHES[name](model) for model in MODELS])
    assert counts(warehouse) == before


def test_days_stay_open_until_rows_have_gone(warehouse: Warehouse) -> None:
    fill(warehouse, days=2)
    forget(warehouse, ROWS, deaf)
    assert closed_before(warehouse.root) is None
    fill(warehouse)
    forget(warehouse, Cuts(rows=CUT + DAY), deaf)
    assert closed_before(warehouse.root) == CUT + DAY
    forget(warehouse, Cuts(rows=CUT - DAY), deaf)  # an open change holds rows back: closed it stays
    assert closed_before(warehouse.root) == CUT + DAY


def test_history_that_arrived_lately_is_kept_as_long_as_the_rest(warehouse: Warehouse) -> None:
    warehouse.append("spans", [structs.replace(span_of(NOW - 9 * DAY, 1), received_at=NOW)])
    assert forget(warehouse, ROWS, deaf).gone == ()
    assert count(warehouse, "spans") == 1


def test_when_a_version_was_first_seen_is_never_forgotten(warehouse: Warehouse) -> None:
    when = NOW - 99 * DAY
    row = DeploymentRow(
        event_id="d", source="otlp", timestamp=when, received_at=when, service_name="shop",
        service_version="1",
    )  # fmt: skip
    warehouse.append("deployments", [row])
    forget(warehouse, Cuts(rows=CUT, counts=CUT), deaf)
    assert count(warehouse, "deployments") == 1


def test_counts_go_in_their_own_time(warehouse: Warehouse) -> None:
    fill(warehouse)
    refresh(warehouse, MODELS)
    forget(warehouse, Cuts(rows=CUT, counts=CUT - DAY), deaf)
    assert oldest(warehouse, "occurrences").replace(minute=0, second=0) == CUT - DAY
    hours = warehouse.query("SELECT min(event_hour) AS h FROM issue_hourly")["h"][0]
    assert hours == CUT - DAY
    assert all(found.broken == 0 for m in MODELS for found in check(warehouse, m.tests))


def test_done_is_done_until_the_cut_moves(warehouse: Warehouse) -> None:
    fill(warehouse)
    told: list[Forgotten] = []
    for cuts in (ROWS, ROWS, Cuts(rows=CUT + DAY)):
        forget(warehouse, cuts, told.append)
    assert [each.cuts.rows for each in told] == [CUT, CUT + DAY]


def test_files_that_went_stay_for_readers_and_then_leave_the_disk(warehouse: Warehouse) -> None:
    fill(warehouse)
    files = warehouse.files("spans")
    forget(warehouse, ROWS, deaf)
    assert all(path.exists() for path in files)
    late = time.time() - 3600
    os.utime(warehouse.root / "spans" / "live.json", (late, late))
    forget(warehouse, ROWS, deaf)
    live = set(warehouse.files("spans"))
    assert {path for path in files if path.exists()} == live & set(files)


def test_a_damaged_file_is_told_and_the_rest_goes_next_time(warehouse: Warehouse) -> None:
    fill(warehouse)
    warehouse.files("spans")[-1].write_bytes(b"PAR1")
    with pytest.raises(CorruptTable):
        forget(warehouse, ROWS, deaf)
    forget(warehouse, ROWS, deaf)
    assert oldest(warehouse, "spans") >= CUT


KILLED = """
import os, signal, sys
from pathlib import Path
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse import live
from selfdrive_dagster.adapters.warehouse.retention import forget
sys.path.insert(0, {here!r})
from test_warehouse_retention import ROWS, deaf

def count_down(event, args):
    if event in ("os.rename", "os.remove") and {home!r} in str(args[0]):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
left = [{steps}]
sys.addaudithook(count_down)
forget(Warehouse({home!r}), ROWS, deaf)
"""


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 9, 14])
def test_a_kill_at_any_step_loses_nothing_that_should_stay(tmp_path: Path, steps: int) -> None:
    """Steps are renames and removals: the only moments at which a table changes."""
    warehouse = Warehouse(tmp_path)
    fill(warehouse)
    refresh(warehouse, MODELS)
    before = counts(warehouse)
    script = KILLED.format(here=str(HERE), home=str(tmp_path), steps=steps)
    ended = subprocess.run([sys.executable, "-c", script], cwd=HERE.parents[1], check=False)
    assert ended.returncode == -signal.SIGKILL
    refresh(warehouse, MODELS)  # the loop may go on before the rest is forgotten
    forget(warehouse, ROWS, deaf)
    assert (count(warehouse, "spans"), oldest(warehouse, "spans") >= CUT) == (KEPT, True)
    assert counts(warehouse) == before


# ---- captured arguments


def told_crash(ago: timedelta, value: str = "secret-of-a-visitor") -> ExceptionRow:
    crash = crash_of(ago=ago, user="u1")
    frames = tuple(structs.replace(one, variables={"card": value}) for one in crash.raised.frames)
    raised = structs.replace(crash.raised, frames=frames)
    crash = structs.replace(crash, exceptions=(raised,))
    return row_of(crash, crash.timestamp or NOW)


def arguments(warehouse: Warehouse) -> list[bool]:
    told = warehouse.query("SELECT crash_json FROM exceptions ORDER BY timestamp").to_dicts()
    crashes = [json.decode(row["crash_json"], type=Crash) for row in told]
    return [any(one.variables is not None for one in crash.raised.frames) for crash in crashes]


ARGUMENTS = Cuts(arguments=CUT)


@pytest.mark.parametrize("merged", [False, True], ids=["two files", "one file"])
def test_old_arguments_go_and_the_rest_of_the_row_stays(warehouse: Warehouse, merged: bool) -> None:
    old, new = told_crash(5 * DAY), told_crash(DAY)
    for row in (old, new):
        warehouse.append("exceptions", [row])
    if merged:
        warehouse.compact("exceptions", everything=True)
    refresh(warehouse, MODELS)
    done = forget(warehouse, ARGUMENTS, deaf)
    assert [(each.table, each.what, each.rows) for each in done.gone] == [
        ("exceptions", "arguments", 1)
    ]
    assert arguments(warehouse) == [False, True]
    first, second = warehouse.query("SELECT * FROM exceptions ORDER BY timestamp").to_dicts()
    assert ExceptionRow(**{**second, "frames": tuple(second["frames"])}) == new
    for name in set(ExceptionRow.__struct_fields__) - {"crash_json", "frames"}:
        assert first[name] == getattr(old, name)
    bared = json.decode(first["crash_json"], type=Crash)
    assert bared.raised.frames[-1].function == "total"
    assert {each.hours for each in refresh(warehouse, MODELS)} == {0}
    assert warehouse.append("exceptions", [old]).duplicate == 1


def test_late_rows_lose_their_arguments_too(warehouse: Warehouse) -> None:
    row = told_crash(5 * DAY)
    warehouse.append(
        "late_events", [late_row("exceptions", row), late_row("spans", span_of(NOW - 5 * DAY, 1))]
    )
    forget(warehouse, ARGUMENTS, deaf)
    kept = warehouse.query("SELECT row_json FROM late_events WHERE table_name = 'exceptions'")
    assert "secret-of-a-visitor" not in kept["row_json"][0]
    assert json.decode(kept["row_json"][0], type=ExceptionRow).event_id == row.event_id


def test_no_file_on_the_disk_holds_them_after_the_next_round(warehouse: Warehouse) -> None:
    warehouse.append("exceptions", [told_crash(5 * DAY)])
    warehouse.compact("exceptions", everything=True)
    forget(warehouse, ARGUMENTS, deaf)
    hour_ago = time.time() - 3600
    os.utime(warehouse.root / "exceptions" / "live.json", (hour_ago, hour_ago))
    forget(warehouse, ARGUMENTS, deaf)
    import polars

    texts = [
        str(polars.read_parquet(path)["crash_json"].to_list())
        for path in (warehouse.root / "exceptions").rglob("*.parquet")
    ]
    assert len(texts) == 2  # the file, and the empty one that tells the columns
    assert "secret-of-a-visitor" not in "".join(texts)


def test_what_a_stranger_writes_into_a_message_is_no_argument(warehouse: Warehouse) -> None:
    crash = crash_of(ago=5 * DAY)
    raised = structs.replace(crash.raised, value='"variables":{"card":"1"}')
    row = row_of(structs.replace(crash, exceptions=(raised,)), NOW - 5 * DAY)
    warehouse.append("exceptions", [row])
    assert forget(warehouse, ARGUMENTS, deaf).gone == ()
