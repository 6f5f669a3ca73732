"""Late rows: apart, counted, and known again when they come twice or had come in time."""

from datetime import timedelta
from pathlib import Path

import pytest
from issue_rows import NOW, crash_of, row_of, span_of
from msgspec import json, structs

from selfdrive_dagster.adapters.ingest import Ingested, ingest_segments
from selfdrive_dagster.adapters.intake import Intake
from selfdrive_dagster.adapters.segments import Limits, SegmentWriter
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.telemetry import Arrival, Records
from selfdrive_dagster.telemetry.late import Window
from selfdrive_dagster.telemetry.rows import ExceptionRow, SpanRow

TWO_DAYS = Window(after=timedelta(hours=48))
SECOND = timedelta(seconds=1)


def span(ago: timedelta, number: int = 1) -> SpanRow:
    return structs.replace(span_of(NOW - ago, number), received_at=NOW)


def passed(tmp_path: Path, window: Window, *all_records: Records) -> Ingested:
    folder = tmp_path / "s"
    for records in all_records:
        writer = SegmentWriter(folder, Limits(max_seconds=60))
        Intake(writer).take(records, signal="x", content_type="", arrival=Arrival(received_at=NOW))
        writer.close()
    return ingest_segments([folder], Warehouse(tmp_path), windows={folder: window})


def spans(*rows: SpanRow) -> Records:
    return Records(spans=rows)


AGO = {
    "at the edge": (timedelta(hours=48), TWO_DAYS, False),
    "a second too late": (timedelta(hours=48) + SECOND, TWO_DAYS, True),
    "without a window": (timedelta(days=300), Window(), False),
    "of a day that is closed": (timedelta(hours=3), Window(closed=NOW - timedelta(hours=2)), True),
    "of a day that is open": (timedelta(hours=3), Window(closed=NOW - timedelta(hours=4)), False),
    "from a clock that runs ahead": (-timedelta(days=9), TWO_DAYS, False),
}


@pytest.mark.parametrize("name", AGO)
def test_a_row_is_late_when_its_hour_is_closed(tmp_path: Path, name: str) -> None:
    ago, window, is_late = AGO[name]
    done = passed(tmp_path, window, spans(span(ago)))
    assert (done.stored["late_events"], done.stored["spans"]) == (int(is_late), int(not is_late))


def test_a_late_row_is_kept_whole_and_the_next_is_a_duplicate(tmp_path: Path) -> None:
    row = structs.replace(row_of(crash_of(ago=timedelta(days=3))), received_at=NOW)
    records = Records(exceptions=(row,))
    first, second = (passed(tmp_path, TWO_DAYS, records) for _ in range(2))
    assert (first.stored["late_events"], first.duplicate["late_events"]) == (1, 0)
    assert (second.stored["late_events"], second.duplicate["late_events"]) == (0, 1)
    [kept] = Warehouse(tmp_path).query("SELECT * FROM late_events").to_dicts()
    assert (kept["table_name"], kept["timestamp"]) == ("exceptions", row.timestamp)
    assert json.decode(kept["row_json"], type=ExceptionRow) == row


def test_what_came_in_time_and_again_too_late_counts_once(tmp_path: Path) -> None:
    in_time = span_of(NOW - timedelta(hours=50), 1)
    again = structs.replace(in_time, received_at=NOW)
    both = [Records(spans=(in_time,)), Records(spans=(again,))]
    passed(tmp_path, TWO_DAYS, both[0])
    done = passed(tmp_path, TWO_DAYS, both[1])
    assert (done.stored["late_events"], done.duplicate["spans"]) == (0, 1)


def test_of_one_pass_each_row_counts_once(tmp_path: Path) -> None:
    rows = [span(timedelta(hours=hours), hours) for hours in (1, 47, 49, 90)]
    first = passed(tmp_path, TWO_DAYS, spans(*rows[:3]))
    second = passed(tmp_path, TWO_DAYS, spans(rows[0]), spans(rows[2], rows[3]))
    counted = [
        (sum(each.stored.values()), sum(each.duplicate.values())) for each in (first, second)
    ]
    assert counted == [(3, 0), (1, 2)]
