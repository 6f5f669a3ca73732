"""A rollout's evidence on disk: only ever longer, whole after a kill, loud when damaged."""

import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from fakes.visiting import BEGIN, CHANGE

from selfdrive_dagster.adapters.canary import DamagedWindows, Thresholds, WindowStore
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.rollout.canary import Arms, Count, Line, Source


def line(number: int, source: Source = Source.PROXY, *, hit: int = 0, **more) -> Line:
    names = {Source.PROXY: "errors", Source.TELEMETRY: "issue"}
    return Line(
        start=BEGIN + timedelta(seconds=10 * number), source=source, exposed=Arms(10, 90),
        affected={names[source]: Arms(hit, 0)}, **more,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path) -> WindowStore:
    return WindowStore(tmp_path, CHANGE)


def test_the_log_makes_windows_and_telemetry_joins_them(store: WindowStore) -> None:
    store.add([line(0, share=0.1), line(1, share=0.1, hit=2)])
    assert [one.start for one in store.missing(Source.TELEMETRY)] == [
        line(0).start,
        line(1).start,
    ]
    store.add([line(0, Source.TELEMETRY, hit=3), line(7, Source.TELEMETRY)])
    first, second = store.read()
    both = Arms(10, 90)
    assert first.measured == {"errors": Count(both), "issue": Count(both, Arms(3, 0))}
    assert second.measured == {"errors": Count(both, Arms(2, 0))}
    assert [one.start for one in store.missing(Source.TELEMETRY)] == [second.start]


def test_what_was_said_first_stays(store: WindowStore) -> None:
    assert store.add([line(0, hit=1), line(0, hit=2)]) == 1
    before = store.path.read_bytes()
    assert store.add([line(0, hit=5)]) == 0
    assert store.path.read_bytes() == before
    assert store.read()[0].measured["errors"].affected == Arms(1, 0)


def test_a_torn_last_line_is_cut_and_nothing_else(store: WindowStore) -> None:
    store.add([line(0), line(1)])
    digest = store.digest()
    with store.path.open("ab") as file:
        file.write(b'{"start":"2026-11-27T12:0')
    assert len(store.read()) == 2
    assert store.digest() == digest
    store.add([line(2)])
    assert len(store.read()) == 3
    assert b"12:0\n" not in store.path.read_bytes()


def test_a_damaged_line_is_told_and_never_skipped(store: WindowStore) -> None:
    store.add([line(0), line(1)])
    store.path.write_bytes(store.path.read_bytes().replace(b"canary", b"kanary", 1)[1:])
    with pytest.raises(DamagedWindows, match="line 1"):
        store.read()
    with pytest.raises(DamagedWindows):
        store.add([line(2)])


def test_whatever_was_named_of_it_once_is_how_it_begins(store: WindowStore) -> None:
    named = [store.digest()]
    for number in range(3):
        store.add([line(number)])
        named.append(store.digest())
    assert store.beginnings() == set(named)
    store.path.write_bytes(store.path.read_bytes().replace(b"10", b"11", 1))
    assert store.beginnings() & set(named) == {named[0]}


def test_only_the_owner_reads_it(store: WindowStore) -> None:
    store.add([line(0)])
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.path.parent.stat().st_mode & 0o777 == 0o700


WRITER = """
import sys
from datetime import timedelta
from pathlib import Path
sys.path.insert(0, "tests")
from fakes.visiting import BEGIN, CHANGE
from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.rollout.canary import Arms, Line, Source
store = WindowStore(Path(sys.argv[1]), CHANGE)
for number in range(10_000):
    start = BEGIN + timedelta(seconds=number)
    store.add([Line(start=start, source=Source.PROXY, exposed=Arms(1, 1))])
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(store: WindowStore, tmp_path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        said = [int(next(writer.stdout)) for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        said += [int(each) for each in writer.stdout if each.endswith("\n")]
    assert len(store.read()) >= len(said)
    store.add([line(9_999)])
    assert store.read()[-1].exposed == Arms(10, 90)


def test_thresholds_are_frozen(store: WindowStore) -> None:
    usual = Thresholds(p50=0.1, p90=0.2, p99=0.5, sessions=500, window_seconds=10.0)
    assert store.thresholds() is None
    store.freeze(usual)
    store.freeze(usual)
    assert store.thresholds() == usual
    with pytest.raises(BadInput, match="frozen"):
        store.freeze(Thresholds(p50=1, p90=2, p99=5, sessions=500, window_seconds=10.0))


@pytest.mark.parametrize("name", ["", "../elsewhere", "a/b"])
def test_a_change_is_no_path(tmp_path, name: str) -> None:
    with pytest.raises(BadInput):
        WindowStore(tmp_path, name)
