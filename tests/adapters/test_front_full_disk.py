"""The way back with no room on the disk: users first, what is told of it later."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.fronts import SOUND, MadeFront
from fakes.full_disks import fill, make_room, nothing_written, tiny_disk

from selfdrive_dagster.adapters.front_files import FrontFiles, Routes
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.adapters.traefik.actuator import put
from selfdrive_dagster.rollout.traffic import Cause, Seen, Wanted

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
CHANGE = "chg_0123456789abcdef"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A home on a file system of a few blocks."""
    with tiny_disk(tmp_path / "disk") as place:
        yield place


def on_trial(home: Path) -> TraefikActuator:
    """A change that meets a quarter of the sessions, as files tell of it; no proxy answers."""
    actuator = TraefikActuator(home, clock=lambda: NOW)
    files = actuator.files
    files.make()
    files.write(files.wanted_file, Wanted(generation=1, stable="s"))
    staged = actuator.stage(generation=1, stable="s", change_id=CHANGE, canary="c").wanted
    files.write(
        files.seen_file,
        Seen(generation=2, at=NOW, change_id=CHANGE, stable="s", canary="c", share=0.0,
             stable_healthy=True, canary_healthy=True),
    )  # fmt: skip
    wanted = actuator.set(0.25, staged.generation).wanted
    put(files, Routes(change_id=CHANGE, stable=1, canary=2, share=wanted.share))
    assert routed(files) == {"stable", "canary"}
    return actuator


def routed(files: FrontFiles) -> set[str]:
    """Return the arms that the proxy's configuration leads to."""
    services = json.loads(files.dynamic.read_bytes())["http"]["services"]
    return {name.partition("-")[0] for name in services} - {"split"}


def test_a_return_needs_no_room(disk: Path) -> None:
    actuator = on_trial(disk)
    files = actuator.files
    fill(disk)
    traffic = actuator.to_stable("half of them failed", Cause.HARM)
    assert routed(files) == {"stable"}
    assert (files.wanted().canary, files.wanted().share) == ("", 0.0)
    assert files.wanted() == traffic.wanted and traffic.wanted.generation == 4
    [told] = files.journal()
    assert (told.cause, told.reason, told.share) == (Cause.HARM, "half of them failed", 0.25)


def test_what_a_return_could_not_note_is_noted_before_the_next_order(tmp_path: Path) -> None:
    actuator = on_trial(tmp_path)
    with nothing_written():
        generation = actuator.to_stable("it hurts").wanted.generation
        with pytest.raises(OSError, match="too large"):
            actuator.stage(generation=generation, stable="s", change_id=CHANGE, canary="d")
    generation = actuator.files.wanted().generation
    actuator.stage(generation=generation, stable="s", change_id=CHANGE, canary="d")
    assert [one.generation for one in actuator.files.journal()] == [generation]


def test_no_lease_is_renewed_on_a_full_disk(disk: Path) -> None:
    """So whatever evidence cannot be stored, in a minute everybody is on stable."""
    actuator = on_trial(disk)
    before = actuator.files.wanted()
    fill(disk)
    with pytest.raises(OSError, match="No space"):
        actuator.set(0.25, before.generation)
    assert actuator.files.wanted() == before
    actuator.to_stable("the lease ran out", Cause.LEASE)
    assert routed(actuator.files) == {"stable"}


def test_twice_is_as_good_as_once(disk: Path) -> None:
    actuator = on_trial(disk)
    fill(disk)
    first = actuator.to_stable("the first", Cause.LEASE)
    fill(disk)  # what took another's place left room
    assert actuator.to_stable("the second").wanted == first.wanted
    assert routed(actuator.files) == {"stable"}
    assert [one.reason for one in actuator.files.journal()] == ["the first"]


def test_where_not_even_a_block_can_be_written_over_a_rename_is_enough(tmp_path: Path) -> None:
    actuator = on_trial(tmp_path)
    with nothing_written():
        actuator.to_stable("it hurts")
    files = actuator.files
    assert routed(files) == {"stable"}
    assert (files.wanted().canary, files.wanted().generation) == ("", 4)
    [told] = files.journal()
    assert told.cause is Cause.FAULT and "the disk was full" in told.reason
    assert not files.journal_file.read_bytes()  # it is owed, and whoever adopts it misses nothing
    files.settle_journal()
    files.settle_journal()
    assert len(files.journal_file.read_bytes().splitlines()) == 1
    assert files.journal() == (told,)


def test_words_without_end_fit_all_the_same(disk: Path) -> None:
    actuator = on_trial(disk)
    fill(disk)
    actuator.to_stable("\x01" * 100_000, Cause.CANARY)
    [told] = actuator.files.journal()
    assert told.cause is Cause.CANARY and len(told.reason) == 2_000


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False], ids=["as it was", "the way back is gone too"])
def test_the_lease_ends_for_real_visitors(tmp_path: Path, kept: bool) -> None:
    front = MadeFront(tmp_path, lease_seconds=6.0)
    with tiny_disk(front.folder / "disk", "8m") as disk:
        front.home.rmdir()
        front.home.symlink_to(disk)
        try:
            front.start()
            canary = front.commit(SOUND)
            front.stage(CHANGE, canary)
            front.set(0.5)
            crowd = front.crowd(30)
            assert canary in front.answers(crowd)
            if not kept:
                for ready in front.files.folder.glob("*.ready"):
                    ready.unlink()
            fill(disk)
            until = front.files.wanted().lease_until
            assert until is not None
            front.wait(lambda: front.answers(crowd) == {front.stable: 30}, 15)
            late = datetime.now(UTC) - until
            assert timedelta() < late < timedelta(seconds=6)
            print(
                f"\non a full disk: {late.total_seconds():.2f} s after the lease", file=sys.stderr
            )
            make_room(disk)
            front.wait(front.files.journal_file.exists, 10)
            front.wait(lambda: front.files.journal_file.read_bytes(), 10)
            assert front.files.journal()[-1].cause is Cause.LEASE
        finally:
            front.close()
