"""The way back with everything else down: by one command, and by the lease alone, in seconds.

`python -m pytest -m slow -s tests/adapters/test_controller_alone.py` tells how many.
"""

import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.fronts import SOUND, MadeFront, Visitor
from fakes.selfdrive_program import selfdrive

pytestmark = pytest.mark.slow
CHANGE = "chg_0123456789abcdef"


def on_canary(front: MadeFront) -> list[Visitor]:
    """Give half of the visitors to a canary and return those that meet it."""
    front.start()
    canary = front.commit(SOUND)
    front.stage(CHANGE, canary)
    front.set(0.5)
    crowd = front.crowd(40)
    there = [one for one in crowd if one.visit() == canary]
    assert len(there) >= 10
    return there


def seconds_until_stable(front: MadeFront, visitors: list[Visitor], begun: float) -> float:
    """Return when the last of them met stable again."""
    while set(front.answers(visitors)) != {front.stable}:
        assert time.monotonic() - begun < 30
    return time.monotonic() - begun


def test_one_command_with_receiver_daemon_database_down_and_the_front_hung(tmp_path: Path) -> None:
    """Nothing of the loop ever ran here, and the front is stopped: only Traefik serves."""
    front = MadeFront(tmp_path)
    try:
        visitors = on_canary(front)
        assert front.process is not None
        front.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        said = selfdrive(
            "rollback", "--now", "--json", cwd=tmp_path, SELFDRIVE_HOME=str(front.home)
        )
        assert said.code == 0, said.err
        seconds = seconds_until_stable(front, visitors, begun)
        told = said.json()["seconds"]
        print(f"\nby command: {seconds:.2f} s, {told} s of them to move the traffic")
        assert seconds < 15 and told < 3
        assert front.files.journal()[-1].change_id == CHANGE
    finally:
        if front.process is not None:
            front.process.send_signal(signal.SIGCONT)
        front.close()


def test_the_lease_alone(tmp_path: Path) -> None:
    """Nobody renews: no controller, no database, nobody types anything."""
    front = MadeFront(tmp_path, lease_seconds=4.0)
    try:
        visitors = on_canary(front)
        until = front.actuator.read().wanted.lease_until
        assert until is not None
        late = seconds_until_stable(front, visitors, time.monotonic())
        after = (datetime.now(UTC) - until).total_seconds()
        print(f"\nby the lease: {after:.2f} s after its end, {late:.2f} s of waiting")
        assert -0.1 < after < 10
        assert front.files.journal()[-1].cause.value == "lease"
    finally:
        front.close()
