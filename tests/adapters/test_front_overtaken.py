"""Who was stopped in the middle of an order and wakes up after a return does not undo it."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from selfdrive_dagster.adapters.durable import forget_unborn, write_whole
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.rollout.traffic import Seen, Wanted

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SEEN = Seen(
    generation=2, at=NOW, change_id="chg_a", stable="s", canary="c", share=0.05,
    stable_healthy=True, canary_healthy=True,
)  # fmt: skip


def on_trial(home: Path) -> TraefikActuator:
    actuator = TraefikActuator(home, clock=lambda: NOW)
    files = actuator.files
    files.make()
    files.write(files.wanted_file, Wanted(generation=1, stable="s"))
    actuator.stage(generation=1, stable="s", change_id="chg_a", canary="c")
    files.write(files.seen_file, SEEN)
    return actuator


def test_an_order_that_slept_through_a_return_is_refused(tmp_path: Path) -> None:
    actuator = on_trial(tmp_path)
    files = actuator.files
    os.mkfifo(files.folder / "pipe")
    os.link(files.folder / "pipe", files.folder / "hung")
    (files.folder / "hung").replace(files.seen_file)
    came: list[object] = []

    def give() -> None:
        try:
            came.append(actuator.set(0.5, 2))
        except Refused as refused:
            came.append(refused)

    order = threading.Thread(target=give)
    order.start()
    with (files.folder / "pipe").open("wb") as pipe:  # once it reads, with the lock in its hand
        files.write(files.seen_file, SEEN)
        back = TraefikActuator(tmp_path, clock=lambda: NOW).to_stable("it hurts").wanted
        pipe.write(msgspec.json.encode(SEEN))
    order.join(10)
    [refused] = came
    assert isinstance(refused, Refused) and "generation 3, not 2" in refused.message
    assert files.wanted() == back
    assert (back.generation, back.share, back.canary) == (3, 0.0, "")


def test_a_rename_that_comes_too_late_finds_nothing_to_rename(tmp_path: Path) -> None:
    """Stopped between the last look and the rename, where no look helps."""
    files = FrontFiles(tmp_path)
    files.make()
    files.write(files.wanted_file, Wanted(generation=3, stable="s"))
    before = files.wanted_file.read_bytes()
    with pytest.raises(FileNotFoundError):
        write_whole(files.wanted_file, b"late", still=lambda: forget_unborn(files.wanted_file))
    assert files.wanted_file.read_bytes() == before
    assert not list(files.folder.glob(".new-*"))


def test_a_return_takes_what_writers_have_not_put_in_place(tmp_path: Path) -> None:
    actuator = on_trial(tmp_path)
    folder = actuator.files.folder
    for name in ("wanted.json", "dynamic.yml", "seen.json"):
        (folder / f".new-{name}-late").touch()
    actuator.to_stable("it hurts")
    assert [one.name for one in folder.glob(".new-*")] == [".new-seen.json-late"]
