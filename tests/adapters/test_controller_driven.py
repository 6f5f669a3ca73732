"""A rollout before real visitors: what goes wrong under way, and nobody stays on the canary.

`python -m pytest -m slow -s tests/adapters/test_controller_driven.py` tells the seconds.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.whole_rollouts import Driven

from selfdrive_dagster.adapters.controller.journal import RETURNED
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.rollout.traffic import Cause

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen"),
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Driven]:
    made = Driven(tmp_path)
    made.start()
    made.come()
    yield made
    made.close()


def begin(world: Driven, lease_seconds: float = 60.0) -> None:
    """Lead the change to its first users."""
    world.approve()
    world.control(lease_seconds)
    world.until(State.CANARY)
    world.wait_seen(lambda seen: bool(seen.share))


def moves(world: Driven) -> list[str]:
    rows = world.shop.ledger.entries(found.CHANGE)
    return [row.entry.kind for row in rows if row.entry.kind.startswith("change.")]


def causes(world: Driven) -> list[object]:
    rows = world.shop.ledger.find(RETURNED, found.CHANGE, limit=9)
    return [row.entry.body["cause"] for row in rows]


def test_the_kill_switch(world: Driven) -> None:
    begin(world)
    world.files.kill_switch.touch()
    seconds = world.wait_seen(lambda seen: seen.share == 0.0)
    print(f"\nby STOP: {seconds:.2f} s")
    world.until(State.LEARNED)
    assert set(world.answers(world.crowd(20))) == {world.stable}
    assert moves(world)[-3:] == ["change.stop", "change.restored", "change.reverted"]


def test_a_controller_that_is_gone_lets_the_lease_run_out(world: Driven) -> None:
    begin(world, lease_seconds=8.0)
    assert world.controller is not None
    world.controller.kill()
    world.controller.wait()
    seconds = world.wait_seen(lambda seen: seen.share == 0.0)
    print(f"\nby the lease, without a controller: {seconds:.2f} s")
    world.control()
    world.until(State.LEARNED)
    assert moves(world)[-3:] == ["change.lease_lost", "change.restored", "change.reverted"]
    assert causes(world) == ["lease"]


def test_harm_while_the_database_is_gone(world: Driven) -> None:
    """Killed under way: harm is answered from the disk, and told when there is a ledger again."""
    begin(world)
    before = moves(world)
    world.kill_database()
    world.fail(0.2)
    seconds = world.wait_seen(lambda seen: seen.share == 0.0, 55)
    print(f"\nharm without a database: {seconds:.2f} s")
    assert world.files.journal()[-1].cause is Cause.HARM
    time.sleep(1)
    world.start_database()
    assert moves(world) == before
    world.until(State.LEARNED)
    assert moves(world)[len(before) :] == ["change.harm", "change.restored", "change.reverted"]
    assert causes(world) == ["harm"]


def test_one_command_with_the_database_down_is_told_afterwards(world: Driven) -> None:
    begin(world)
    world.kill_database()
    begun = time.monotonic()
    traffic = world.actuator.to_stable("I saw it fail")
    assert traffic.seen and traffic.seen.share == 0.0
    print(f"\nby hand, without a database: {time.monotonic() - begun:.2f} s")
    world.start_database()
    world.until(State.LEARNED)
    assert moves(world)[-3:] == ["change.abort", "change.restored", "change.reverted"]
    assert causes(world) == ["command"]
