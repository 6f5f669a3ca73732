"""`selfdrive ingest`: files are counted, redacted and kept, beside a receiver or without one."""

import threading
from pathlib import Path

import msgspec
from fakes.receiving import receiving
from fakes.selfdrive_program import ROOT, selfdrive

from selfdrive_dagster.adapters.handing import HANDED, RECEIVED
from selfdrive_dagster.adapters.intake import read_deliveries
from selfdrive_dagster.adapters.segments import SegmentWriter, closed_segments
from selfdrive_dagster.model import Crash

ENVELOPE = ROOT / "tests" / "cases" / "shop_envelopes" / "01-unknown-zone.envelope"
TRACEBACK = ROOT / "tests" / "cases" / "telemetry" / "tracebacks" / "recursion.txt"


def ingest(*arguments: str | Path, folder: Path) -> tuple[int, list[dict], str]:
    said = selfdrive(
        "ingest", *arguments, "--json", cwd=folder, SELFDRIVE_HOME=str(folder / "home")
    )
    return said.code, said.json() if said.out else [], said.err


def counts(each: dict) -> tuple[int, int, int]:
    assert each["received"] == each["stored"] + each["duplicate"] + each["rejected"]
    return each["stored"], each["duplicate"], each["rejected"]


def test_files_are_counted_and_a_bad_one_keeps_no_other_out(tmp_path: Path) -> None:
    junk = tmp_path / "junk.txt"
    junk.write_text("nothing that we know\n")
    code, told, _ = ingest(ENVELOPE, junk, tmp_path / "absent", TRACEBACK, folder=tmp_path)
    assert code == 2
    assert [counts(each) for each in told] == [(1, 0, 0), (0, 0, 1), (0, 0, 1), (1, 0, 0)]
    assert [(each["fault"] and True) or "" for each in told] == ["", True, True, ""]
    assert str(junk) in told[1]["fault"]
    again, told, _ = ingest(ENVELOPE, folder=tmp_path)
    assert (again, [counts(each) for each in told]) == (0, [(0, 1, 0)])
    stored = [
        row.exception_type
        for segment in closed_segments(tmp_path / "home" / HANDED)
        for delivery in read_deliveries(segment)
        for row in delivery.records.exceptions
    ]
    assert stored == ["KeyError", "RecursionError"]


def test_variables_stay_out_where_the_product_says_so(tmp_path: Path) -> None:
    (tmp_path / "selfdrive.toml").write_text("[telemetry]\ncapture_arguments = false\n")
    assert b'"vars"' in ENVELOPE.read_bytes()
    ingest(ENVELOPE, folder=tmp_path)
    (segment,) = closed_segments(tmp_path / "home" / HANDED)
    (delivery,) = read_deliveries(segment)
    crash = msgspec.json.decode(delivery.records.exceptions[0].crash_json, type=Crash)
    assert crash.raised.frames
    assert all(frame.variables is None for frame in crash.raised.frames)


def test_a_running_receiver_is_no_hindrance(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with receiving(home, directory=str(home / RECEIVED)):
        code, told, _ = ingest(ENVELOPE, folder=tmp_path)
    assert (code, [counts(each) for each in told]) == (0, [(1, 0, 0)])
    assert len(closed_segments(home / HANDED)) == 1


def test_two_at_once_take_turns(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    other = SegmentWriter(home / HANDED)
    release = threading.Timer(2.0, other.close)
    release.start()
    code, told, _ = ingest(ENVELOPE, folder=tmp_path)
    release.join()
    assert (code, [counts(each) for each in told]) == (0, [(1, 0, 0)])


def test_the_table_adds_up(tmp_path: Path) -> None:
    said = selfdrive("ingest", ENVELOPE, TRACEBACK, "--home", tmp_path / "h", cwd=tmp_path)
    assert said.code == 0
    assert said.out.splitlines()[-2].split() == ["together", "2", "2", "0", "0"]
