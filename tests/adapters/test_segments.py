"""Segments: what was synced stays, whatever is torn off after it."""

import stat
import struct
import threading
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from selfdrive_dagster.adapters.segments import (
    Limits,
    SegmentWriter,
    Tally,
    closed_segments,
    read_segment,
)
from selfdrive_dagster.adapters.segments.layout import MAX_RECORD_BYTES
from selfdrive_dagster.errors import BadInput, Busy
from selfdrive_dagster.telemetry.bounds import TooMuch

ONE = Tally(stored=1)
HEAD_BYTES = 48


@pytest.fixture
def writer(tmp_path):
    opened = SegmentWriter(tmp_path / "segments", Limits(max_seconds=60))
    yield opened
    opened.close()


def test_what_was_appended_is_read_after_closing(tmp_path):
    writer = SegmentWriter(tmp_path)
    for number in range(5):
        writer.append(b"record %d" % number, ONE).result()
    writer.close()
    (path,) = closed_segments(tmp_path)
    assert list(read_segment(path)) == [b"record %d" % number for number in range(5)]


def test_files_are_for_their_owner_only(writer):
    writer.append(b"x", ONE).result()
    assert stat.S_IMODE(writer.open_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(writer.open_path.parent.stat().st_mode) == 0o700


def test_a_second_writer_is_told_so(writer):
    with pytest.raises(Busy, match="another receiver"):
        SegmentWriter(writer.open_path.parent)


def test_a_segment_closes_by_size_and_the_tally_goes_on(tmp_path):
    writer = SegmentWriter(tmp_path, Limits(max_bytes=1_000, max_seconds=60))
    for _ in range(10):
        writer.append(b"x" * 400, Tally(1, 2, 3)).result()
    writer.close()
    paths = closed_segments(tmp_path)
    assert len(paths) == 4  # three records of 420 bytes pass the limit
    assert sum(len(list(read_segment(path))) for path in paths) == 10
    for path in paths:
        path.unlink()  # the warehouse took them
    again = SegmentWriter(tmp_path)
    assert again.total == Tally(10, 20, 30)
    assert again.total.received == 60
    again.close()


def test_a_segment_closes_by_age(tmp_path):
    writer = SegmentWriter(tmp_path, Limits(max_seconds=0.1))
    writer.append(b"x", ONE).result()
    deadline = time.monotonic() + 5
    while not closed_segments(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(closed_segments(tmp_path)) == 1
    writer.close()


def test_many_threads_share_syncs_and_lose_nothing(tmp_path):
    writer = SegmentWriter(tmp_path, Limits(max_seconds=60))

    def send(name):
        for number in range(20):
            writer.append(f"{name}.{number}".encode(), ONE).result()

    threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.total == Tally(stored=160)
    writer.close()
    (path,) = closed_segments(tmp_path)
    assert len(set(read_segment(path))) == 160


RECORDS = st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(records=RECORDS, cut=st.integers(0, 10_000), junk=st.binary(max_size=40))
def test_a_torn_tail_is_cut_and_whole_records_stay(tmp_path_factory, records, cut, junk):
    directory = tmp_path_factory.mktemp("torn")
    writer = SegmentWriter(directory, Limits(max_seconds=60))
    ends = []
    for record in records:
        writer.append(record, ONE).result()
        ends.append(writer.open_path.stat().st_size)
    data = writer.open_path.read_bytes()
    name = writer.open_path.name
    writer.close()
    # A fresh directory as a killed writer would leave it: cut anywhere after the head.
    killed = tmp_path_factory.mktemp("killed")
    at = HEAD_BYTES + cut % (len(data) - HEAD_BYTES + 1)
    assume(junk[:1] != data[at : at + 1])  # else it might be the missing rest
    (killed / name).write_bytes(data[:at] + junk)
    again = SegmentWriter(killed, Limits(max_seconds=60))
    whole = sum(end <= at for end in ends)
    assert again.total.stored == whole
    again.append(b"after", ONE).result()
    again.close()
    (path,) = closed_segments(killed)
    assert list(read_segment(path)) == [*records[:whole], b"after"]


def test_a_foreign_file_is_named(tmp_path):
    path = tmp_path / "000000000001.seg"
    path.write_bytes(b"not a segment")
    with pytest.raises(BadInput, match=r"000000000001\.seg is no segment"):
        list(read_segment(path))


def test_a_writer_killed_between_two_segments_loses_none(tmp_path):
    writer = SegmentWriter(tmp_path, Limits(max_seconds=60))
    writer.append(b"old", ONE).result()
    left = writer.open_path.read_bytes()
    writer.close()
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "000000000001.open").write_bytes(left)
    (killed / "000000000002.open").write_bytes(b"selfdrive")  # its head was being written
    again = SegmentWriter(killed, Limits(max_seconds=60))
    assert again.total == ONE
    again.append(b"new", ONE).result()
    again.close()
    (path,) = closed_segments(killed)
    assert list(read_segment(path)) == [b"old", b"new"]


def test_a_record_that_no_reader_takes_is_refused_and_the_writer_goes_on(writer):
    with pytest.raises(TooMuch, match="67,108,864 are the most"):
        writer.append(bytes(MAX_RECORD_BYTES + 1), ONE)
    assert writer.append(b"next", ONE).result(10)


def test_bytes_that_wait_for_the_disk_are_bounded(writer):
    large = bytes(MAX_RECORD_BYTES // 2)
    waiting = [writer.append(large, ONE)]
    with pytest.raises(Busy, match="bytes wait"):
        while len(waiting) < 20:
            waiting.append(writer.append(large, ONE))
    for done in waiting:
        done.result(60)
    assert writer.append(large, ONE).result(60)  # what was written waits no more


def test_a_record_that_cannot_be_packed_fails_alone_and_the_writer_goes_on(writer):
    with pytest.raises(struct.error):
        writer.append(b"x", Tally(stored=2**32)).result(10)
    assert writer.append(b"next", ONE).result(10)
    assert writer.total == ONE


def damaged(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def test_a_closed_segment_is_whole_to_its_last_byte_or_told(tmp_path):
    writer = SegmentWriter(tmp_path, Limits(max_seconds=60))
    for text in (b"first", b"second", b"third"):
        writer.append(text, ONE).result()
    writer.close()
    (path,) = closed_segments(tmp_path)
    data = path.read_bytes()
    for broken in (damaged(data, HEAD_BYTES + 50), data[:-1], data + b"x"):
        path.write_bytes(broken)
        with pytest.raises(BadInput, match="is damaged"):
            list(read_segment(path))


def test_a_damaged_record_of_a_killed_writer_takes_no_neighbour_with_it(tmp_path):
    writer = SegmentWriter(tmp_path / "a", Limits(max_seconds=60))
    for text in (b"first", b"second", b"third"):
        writer.append(text, ONE).result()
    data, name = writer.open_path.read_bytes(), writer.open_path.name
    writer.close()
    killed = tmp_path / "killed"
    killed.mkdir()
    broken = damaged(data, HEAD_BYTES + 22)
    (killed / name).write_bytes(broken)
    SegmentWriter(killed, Limits(max_seconds=60)).close()
    (aside,) = killed.glob("*.unreadable")
    assert aside.read_bytes() == broken
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600


def test_an_open_segment_with_a_damaged_head_is_set_aside(tmp_path):
    writer = SegmentWriter(tmp_path / "a", Limits(max_seconds=60))
    writer.append(b"first", ONE).result()
    data, name = writer.open_path.read_bytes(), writer.open_path.name
    writer.close()
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / name).write_bytes(damaged(data, 2))
    SegmentWriter(killed, Limits(max_seconds=60)).close()
    (aside,) = killed.glob("*.unreadable")
    assert aside.read_bytes() == damaged(data, 2)
