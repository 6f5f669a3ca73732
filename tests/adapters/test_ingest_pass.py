"""From segments to tables: one bad delivery stops nothing, and nothing acknowledged is dropped."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from issue_rows import NOW, span_of

from selfdrive_dagster.adapters.ingest import Ingested, ingest_segments
from selfdrive_dagster.adapters.intake import Intake
from selfdrive_dagster.adapters.segments import Limits, SegmentWriter, Tally, closed_segments
from selfdrive_dagster.adapters.warehouse import CorruptTable, Warehouse
from selfdrive_dagster.telemetry import (
    Arrival,
    MetricPointRow,
    Records,
    Redactor,
    otlp,
    read_records,
)

ARRIVAL = Arrival(received_at=NOW, redactor=Redactor(b"k"))


def point(number: int, count: int) -> MetricPointRow:
    return MetricPointRow(
        event_id=f"{number:064x}", source="otlp", timestamp=NOW, received_at=NOW,
        service_name="shop", metric_name="wait", kind="histogram", count=count,
    )  # fmt: skip


def segment(folder: Path, *all_records: Records) -> Path:
    """Write one closed segment, a delivery per Records."""
    writer = SegmentWriter(folder, Limits(max_seconds=60))
    intake = Intake(writer)
    for records in all_records:
        intake.take(records, signal="traces", content_type="", arrival=ARRIVAL)
    writer.close()
    return closed_segments(folder)[-1]


def names(folder: Path, suffix: str) -> list[str]:
    return sorted(path.name for path in folder.glob(f"*{suffix}"))


def counts(done: Ingested, table: str) -> tuple[int, int]:
    return done.stored[table], done.duplicate[table]


@pytest.mark.parametrize("kind", ["histogram", "exponentialHistogram", "summary"])
def test_a_count_that_no_column_holds_is_rejected_and_its_neighbour_stored(
    tmp_path: Path, kind: str
) -> None:
    points = [
        {"count": str(count), "timeUnixNano": str(10**18 + count % 7)} for count in (2**63, 5)
    ]
    metric = {"name": "wait", kind: {"dataPoints": points}}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    records = otlp.decode_json(body, "The body", ARRIVAL)
    assert [row.count for row in records.metric_points] == [5]
    assert records.rejected == (
        "a point of metric 'wait' counts 9223372036854775808, more than 2^63 - 1",
    )
    segment(tmp_path / "s", records)
    assert counts(ingest_segments([tmp_path / "s"], Warehouse(tmp_path)), "metric_points") == (1, 0)


def test_a_segment_that_no_table_takes_is_set_aside_and_the_others_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    segment(folder, Records(spans=(span_of(NOW, 1),)))
    bad = segment(folder, Records(spans=(span_of(NOW, 2),), metric_points=(point(1, 2**63),)))
    segment(folder, Records(spans=(span_of(NOW, 3),), metric_points=(point(2, 7),)))
    warehouse = Warehouse(tmp_path)
    done = ingest_segments([folder], warehouse)
    assert done.unreadable == (bad.name,)
    assert names(folder, ".unreadable") == [f"{bad.name}.unreadable"]
    assert names(folder, ".seg") == []
    assert warehouse.query("SELECT count FROM metric_points")["count"].to_list() == [7]
    assert done.segments == 3
    # Each row that was read counts once, although all were tried together first.
    assert sum(counts(done, "spans")) == 3
    again = segment(folder, Records(spans=(span_of(NOW, 4),)))
    assert counts(ingest_segments([folder], warehouse), "spans") == (1, 0)
    assert not again.exists()


def test_a_damaged_table_is_no_reason_to_set_segments_aside(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    warehouse = Warehouse(tmp_path)
    warehouse.append("spans", [span_of(NOW, 1)])
    warehouse.files("spans")[1].write_bytes(b"junk")
    path = segment(folder, Records(spans=(span_of(NOW, 2),)))
    with pytest.raises(CorruptTable):
        ingest_segments([folder], warehouse)
    assert path.exists()
    assert counts(ingest_segments([folder], warehouse), "spans") == (1, 0)


@pytest.mark.parametrize("at", ["payload", "length", "tail"])
def test_a_damaged_closed_segment_is_set_aside_whole(tmp_path: Path, at: str) -> None:
    folder = tmp_path / "s"
    path = segment(folder, *(Records(spans=(span_of(NOW, number),)) for number in range(3)))
    data = bytearray(path.read_bytes())
    first = len(data) // 3
    spots = {"payload": first + 200, "length": 48 + 3, "tail": len(data) - 1}
    data[spots[at]] ^= 0x55
    path.write_bytes(data)
    done = ingest_segments([folder], Warehouse(tmp_path))
    assert done.unreadable == (path.name,)
    assert (folder / f"{path.name}.unreadable").read_bytes() == data


def test_what_was_set_aside_is_never_overwritten(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        (tmp_path / "000000000001.seg").write_bytes(text)
        ingest_segments([tmp_path], Warehouse(tmp_path))
    kept = sorted(path.read_bytes() for path in tmp_path.glob("*.unreadable"))
    assert kept == [b"one", b"two"]


@pytest.mark.parametrize("junk", [b"not a segment", b""])
def test_an_unreadable_segment_keeps_nobody_from_starting(tmp_path: Path, junk: bytes) -> None:
    good = segment(tmp_path, Records(spans=(span_of(NOW, 1),)))
    (tmp_path / "000000000009.seg").write_bytes(junk)
    writer = SegmentWriter(tmp_path, Limits(max_seconds=60))
    intake = Intake(writer)
    records = Records(spans=(span_of(NOW, 1),))
    taken = intake.take(records, signal="traces", content_type="", arrival=ARRIVAL)
    assert taken.tally == Tally(duplicate=1)  # what could be read is known
    writer.close()
    assert (tmp_path / "000000000009.seg").exists()
    assert good.exists()


def test_a_record_of_another_version_keeps_nobody_from_starting(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, Limits(max_seconds=60))
    writer.append(b'{"signal": 3}', Tally(stored=1)).result()
    writer.close()
    again = SegmentWriter(tmp_path, Limits(max_seconds=60))
    Intake(again)
    again.close()


def test_a_pass_holds_only_so_many_bytes_and_takes_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    for number in range(5):
        size = segment(folder, Records(spans=(span_of(NOW, number),))).stat().st_size
    warehouse = Warehouse(tmp_path)
    done = ingest_segments([folder], warehouse, held_bytes=2 * size)
    assert (done.segments, *counts(done, "spans")) == (5, 5, 0)
    assert len(warehouse.live("spans").files) == 3  # two, two and one together
    segment(folder, Records(spans=(span_of(NOW, 9),)))
    assert counts(ingest_segments([folder], warehouse, held_bytes=1), "spans") == (1, 0)


def test_an_undated_traceback_read_twice_is_stored_once(tmp_path: Path) -> None:
    text = (
        b'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nKeyError: 1\n'
    )
    warehouse = Warehouse(tmp_path)
    for hour in (10, 11, 15):
        arrival = Arrival(received_at=datetime(2026, 3, 1, hour, tzinfo=UTC))
        segment(tmp_path / f"s{hour}", read_records(text, "app.log", arrival))
        ingest_segments([tmp_path / f"s{hour}"], warehouse)
    assert len(warehouse.query("SELECT event_id FROM exceptions")) == 1


def test_an_event_of_the_sdk_and_again_from_sentrys_api_is_stored_once(tmp_path: Path) -> None:
    exception = {"values": [{"type": "KeyError", "value": "1"}]}
    sent = {
        "event_id": "ab" * 16,
        "timestamp": "2026-03-01T10:00:00.123456Z",
        "exception": exception,
    }
    told = {
        "eventID": "ab" * 16,
        "dateCreated": "2026-03-01T10:00:00Z",
        "entries": [{"type": "exception", "data": exception}],
    }
    warehouse = Warehouse(tmp_path)
    for number, event in enumerate((sent, told)):
        arrival = Arrival(received_at=datetime(2026, 3, 1, 12 + number, tzinfo=UTC))
        records = read_records(json.dumps(event).encode(), "event.json", arrival)
        segment(tmp_path / f"s{number}", records)
        ingest_segments([tmp_path / f"s{number}"], warehouse)
    assert len(warehouse.query("SELECT event_id FROM exceptions")) == 1
