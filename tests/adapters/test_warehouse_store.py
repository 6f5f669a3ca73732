"""Tables of Parquet files: stored once, never half seen, damage told."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import polars
import pytest
from issue_rows import NOW, crash_of, row_of, span_of
from msgspec import structs

from selfdrive_dagster.adapters.warehouse import Appended, CorruptTable, Warehouse
from selfdrive_dagster.errors import BadInput, Busy
from selfdrive_dagster.telemetry.rows import TABLES, DeploymentRow, ExceptionRow, SpanRow

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def spans(*minutes: int) -> list[SpanRow]:
    return [span_of(NOW - timedelta(minutes=at), at) for at in minutes]


def count(warehouse: Warehouse, table: str = "spans") -> int:
    return int(warehouse.query(f"SELECT count(*) AS n FROM {table}")["n"][0])


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_nobody_wrote_to_has_its_columns(warehouse: Warehouse, table: str) -> None:
    found = warehouse.query(f"SELECT * FROM {table}")
    assert found.columns == list(TABLES[table].__struct_fields__)
    assert found.is_empty()


def test_rows_come_back_as_they_went_in(warehouse: Warehouse) -> None:
    row = row_of(crash_of("total", user="u1"))
    warehouse.append("exceptions", [row])
    [back] = warehouse.query("SELECT * FROM exceptions").to_dicts()
    assert ExceptionRow(**{**back, "frames": tuple(back["frames"])}) == row


def test_received_is_stored_plus_duplicate(warehouse: Warehouse) -> None:
    assert warehouse.append("spans", spans(1, 2, 2, 3)) == Appended(stored=3, duplicate=1)
    assert warehouse.append("spans", spans(3, 4)) == Appended(stored=1, duplicate=1)
    warehouse.compact("spans", everything=True)
    assert warehouse.append("spans", spans(1, 2, 3, 4)) == Appended(stored=0, duplicate=4)
    assert warehouse.append("spans", []) == Appended(stored=0, duplicate=0)
    assert count(warehouse) == 4


def test_the_first_sighting_of_a_version_is_kept_whenever_it_arrives(warehouse: Warehouse) -> None:
    def sighting(minutes: int) -> DeploymentRow:
        when = NOW - timedelta(minutes=minutes)
        return DeploymentRow(
            event_id="d1", source="otlp", timestamp=when, received_at=NOW,
            service_name="shop", service_version="1.0",
        )  # fmt: skip

    stored = [warehouse.append("deployments", [sighting(at)]).stored for at in (5, 3, 1, 9, 9, 2)]
    assert stored == [1, 0, 0, 1, 0, 0]
    first = warehouse.query("SELECT min(timestamp) AS first FROM deployments")["first"][0]
    assert first == NOW - timedelta(minutes=9)


def test_the_first_sighting_is_kept_of_those_that_arrive_together(warehouse: Warehouse) -> None:
    rows = [
        DeploymentRow(
            event_id="d1", source="otlp", timestamp=NOW - timedelta(minutes=minutes),
            received_at=NOW, service_name="shop", service_version="1.0",
        )
        for minutes in (1, 9, 5)
    ]  # fmt: skip
    assert warehouse.append("deployments", rows) == Appended(stored=1, duplicate=2)
    first = warehouse.query("SELECT min(timestamp) AS first FROM deployments")["first"][0]
    assert first == NOW - timedelta(minutes=9)


HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("first", "second", "stored"),
    [
        # (timestamp, received_at) of two deliveries of one event
        ((NOW, NOW), (NOW + HOUR, NOW + HOUR), 0),
        ((NOW, NOW), (NOW - HOUR, NOW - HOUR), 0),
        ((NOW, NOW + HOUR), (NOW - SECOND, NOW + HOUR), 0),
        ((NOW, NOW + HOUR), (NOW + SECOND, NOW + 2 * HOUR), 0),
    ],
    ids=["undated, later", "undated, earlier", "fraction cut off", "fraction put on"],
)
def test_one_event_is_stored_once_although_it_is_timed_twice(
    warehouse: Warehouse, first: tuple, second: tuple, stored: int
) -> None:
    rows = [
        structs.replace(span_of(NOW, 1), timestamp=timestamp, received_at=received)
        for timestamp, received in (first, second)
    ]
    assert warehouse.append("spans", rows[:1]).stored == 1
    assert warehouse.append("spans", rows[1:]).stored == stored


def test_files_are_hive_partitioned_by_ingest_hour_and_listed(warehouse: Warehouse) -> None:
    warehouse.append("spans", spans(1))
    schema, file = warehouse.files("spans")
    assert polars.read_parquet(schema).is_empty()
    parents = [part.name for part in file.parents[:2]]
    assert parents == ["ingest_hour=12", "ingest_date=2026-11-23"]
    assert {path.suffix for path in file.parent.iterdir()} == {".parquet"}


def test_a_stranger_file_beside_the_list_is_not_read(warehouse: Warehouse) -> None:
    warehouse.append("spans", spans(1, 2))
    file = warehouse.files("spans")[1]
    (file.parent / "99999999-stray.parquet").write_bytes(file.read_bytes())
    assert count(warehouse) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "COPY (SELECT 1) TO '/tmp/selfdrive-copy.csv'",
        "ATTACH '/tmp/selfdrive.db'",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "INSTALL httpfs",
        "DROP VIEW spans",
        "SELECT * FROM nobody",
        "SELECT nothing FROM spans",
        "SELEC 1",
        "",
    ],
)
def test_the_engine_answers_selects_over_tables_and_nothing_else(
    warehouse: Warehouse, sql: str
) -> None:
    with pytest.raises(BadInput):
        warehouse.query(sql)


def test_an_unknown_table_names_the_known_ones(warehouse: Warehouse) -> None:
    with pytest.raises(BadInput, match="exceptions"):
        warehouse.query("SELECT * FROM exception")
    with pytest.raises(BadInput, match="exceptions"):
        warehouse.append("exception", spans(1))
    with pytest.raises(BadInput, match="ExceptionRow"):
        warehouse.append("exceptions", spans(1))


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "junk"])
def test_a_damaged_file_is_named_set_aside_and_never_an_empty_table(
    warehouse: Warehouse, damage: str
) -> None:
    many = [span_of(NOW + timedelta(seconds=number), number) for number in range(500)]
    warehouse.append("spans", many)
    warehouse.append("spans", spans(501))
    file = warehouse.files("spans")[1]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    cases = {"flip": bytes(data), "cut": bytes(data[:-20]), "junk": os.urandom(len(data))}
    file.unlink() if damage == "gone" else file.write_bytes(cases[damage])
    with pytest.raises(CorruptTable, match=file.name):
        # A flipped bit may still decode: what reads every byte finds it.
        warehouse.query("SELECT sum(length(event_id)), max(duration_ms) FROM spans")
        warehouse.verify("spans")
    assert [lost.rows for lost in warehouse.live("spans").lost] == [500]
    assert count(warehouse) == 1
    kept = warehouse.root / "quarantine" / "spans" / file.name
    assert kept.exists() is (damage != "gone")


def test_damage_that_stands_in_the_way_of_an_append_is_told_once(warehouse: Warehouse) -> None:
    warehouse.append("spans", spans(1, 2, 3))
    warehouse.files("spans")[1].write_bytes(b"junk")
    with pytest.raises(CorruptTable, match="3 rows"):
        warehouse.append("spans", spans(2))
    assert warehouse.append("spans", spans(1, 2, 3)).stored == 3


def hourly(hour: int, value: int) -> polars.DataFrame:
    when = NOW.replace(hour=hour, minute=0)
    return polars.DataFrame({"event_hour": [when], "value": [value]}).cast(
        {"event_hour": polars.Datetime("us", "UTC")}
    )


def values(warehouse: Warehouse) -> list[int]:
    return warehouse.query("SELECT value FROM made ORDER BY event_hour")["value"].to_list()


def test_an_hour_is_replaced_and_others_stay_also_after_compaction(warehouse: Warehouse) -> None:
    for hour in range(12):
        warehouse.replace_partitions("made", {f"2026-11-23T{hour:02}": hourly(hour, hour)})
    assert values(warehouse) == list(range(12))
    assert warehouse.compact("made", everything=True).after == 1
    warehouse.replace_partitions("made", {"2026-11-23T03": hourly(3, 33)})
    assert values(warehouse) == [0, 1, 2, 33, *range(4, 12)]
    warehouse.replace_partitions("made", {"2026-11-23T03": hourly(3, 3).clear()})
    assert values(warehouse) == [0, 1, 2, *range(4, 12)]


def test_hours_of_an_older_shape_are_read_with_the_new_column_empty(warehouse: Warehouse) -> None:
    warehouse.replace_partitions("made", {"2026-11-23T01": hourly(1, 1)})
    wider = hourly(2, 2).with_columns(polars.lit("x").alias("note"))
    warehouse.replace_partitions("made", {"2026-11-23T02": wider})
    found = warehouse.query("SELECT value, note FROM made ORDER BY value").rows()
    assert found == [(1, None), (2, "x")]


def test_compaction_keeps_one_generation_and_sweeps_what_dead_writers_left(
    warehouse: Warehouse,
) -> None:
    for minute in range(20):
        warehouse.append("spans", spans(minute))
    old = warehouse.files("spans")[1:]
    stray = old[0].parent / ".00000099-aa.parquet.7.tmp"
    stray.write_bytes(b"half")
    done = warehouse.compact("spans")
    assert (done.before, done.after, count(warehouse)) == (20, 1, 20)
    assert all(path.exists() for path in old)
    assert not stray.exists()
    warehouse.append("spans", spans(100))
    warehouse.compact("spans", everything=True)
    assert not any(path.exists() for path in old)
    assert count(warehouse) == 21


PROGRAM = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from datetime import timedelta
from issue_rows import NOW, span_of
from selfdrive_dagster.adapters.warehouse import Warehouse
warehouse = Warehouse(sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    done = warehouse.append("spans", [span_of(NOW - timedelta(seconds=number), number)])
    print(number, done.stored, flush=True)
    if number % 9 == 8:
        warehouse.compact("spans")
"""


def start(home: Path, first: int, last: int) -> subprocess.Popen[str]:
    program = PROGRAM.format(root=str(ROOT), here=str(HERE))
    arguments = [sys.executable, "-c", program, str(home), str(first), str(last)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_readers_see_whole_tables_while_two_writers_append_and_compact(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """Both write the same events; a reader never sees fewer than before, nor any twice."""
    writers = [start(tmp_path, 0, 45), start(tmp_path, 0, 45)]
    seen = [0]
    while any(writer.poll() is None for writer in writers):
        row = warehouse.query("SELECT count(*) AS n, count(DISTINCT event_id) AS d FROM spans")
        assert row["n"][0] == row["d"][0]
        seen.append(row["n"][0])
    stored = sum(
        int(line.split()[1]) for each in writers for line in each.communicate()[0].splitlines()
    )
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen == sorted(seen)
    assert stored == count(warehouse) == 45


def test_a_writer_killed_at_any_moment_loses_nothing_it_acknowledged(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    chance = random.Random(7)
    acknowledged: set[int] = set()
    for _ in range(4):
        writer = start(tmp_path, 0, 60)
        assert writer.stdout is not None
        acknowledged.add(int(writer.stdout.readline().split()[0]))
        time.sleep(chance.uniform(0, 0.4))
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged |= {
            int(line.split()[0]) for line in writer.communicate()[0].splitlines() if " " in line
        }
    found = warehouse.query("SELECT trace_id FROM spans")["trace_id"].to_list()
    assert len(found) == len(set(found))
    assert acknowledged <= {int(trace, 16) for trace in found}
    warehouse.append("spans", [span_of(NOW - timedelta(seconds=n), n) for n in range(60)])
    assert count(warehouse) == 60


def test_a_second_writer_waits_then_says_so(tmp_path: Path) -> None:
    from selfdrive_dagster.adapters.warehouse.live import writing

    with writing(tmp_path), pytest.raises(Busy, match="another process"), writing(tmp_path, 0.1):
        pass
