"""Kill -9 of everything, at any moment of a canary, and what must still be so afterwards.

`python -m pytest -m slow -s tests/adapters/test_controller_killed.py` tells seeds and seconds.
"""

import shutil
import time
from pathlib import Path
from random import Random

import pytest
from fakes import made_findings as found
from fakes.whole_rollouts import PLAN, Driven

from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.adapters.controller.watch import stage_of
from selfdrive_dagster.adapters.effects import Effects
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit.ledger import verify
from selfdrive_dagster.rollout.canary import Verdict, judge
from selfdrive_dagster.rollout.effects import Kind
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.rollout.observed import Observed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen"),
]
SETTLED = (State.PROMOTED, State.LEARNED)
ENDS = {"healthy": (0.0, State.PROMOTED, 10), "harmful": (0.1, State.LEARNED, 3)}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ENDS)
def test_whatever_dies_whenever_the_rollout_ends_as_it_should(tmp_path: Path, name: str) -> None:
    fails, end, kills = ENDS[name]
    seed = time.time_ns() % 100_000
    print(f"\n{name}: seed {seed}")
    world, chance = Driven(tmp_path, fails), Random(seed)
    try:
        world.start()
        world.come()
        commit = world.approve()
        world.control()
        world.until(State.CANARY)
        windows = WindowStore(world.home, found.CHANGE)
        for number in range(kills):
            time.sleep(chance.uniform(0.1, 5.0))
            before = world.change.state
            if before in SETTLED:
                break
            died = world.kill_everything()
            kept = windows.lines()
            begun = time.monotonic()
            world.start_again()
            told = f"kill {number + 1}: {died} processes, {before.value}, {len(kept)} lines"
            print(f"{told}; back after {time.monotonic() - begun:.1f} s")
            world.until(*State, seconds=1)
            assert windows.lines()[: len(kept)] == kept  # the evidence only grew
        print(f"{end.value} after {world.until(end, seconds=300):.0f} s more")
        time.sleep(3)
        require_sound(world, commit)
    finally:
        (tmp_path / "controller.said").exists() and print(world.said()[-3000:])
        world.close()


def require_sound(world: Driven, commit: str) -> None:
    """What holds at an end, whatever died before it."""
    ledger = Ledger(world.engine)
    rows = ledger.entries()
    assert verify(rows) is None
    effects = Effects(world.engine).of(found.CHANGE)
    done = [one for one in effects if not one.given_up]
    assert not [one.key for one in effects if one.is_open]
    assert len({one.key for one in effects}) == len(effects)
    noted = [row.entry.body["key"] for row in rows if row.entry.kind.startswith("effect.")]
    assert sorted(noted) == sorted(one.key for one in effects)
    promoted = world.change.state is State.PROMOTED
    head = world.repository.git("ls-remote", "origin", "refs/heads/main").split("\t")[0]
    assert head == (commit if promoted else world.stable)
    merges = [one for one in done if one.kind is Kind.MERGE]
    assert len(merges) == promoted
    assert world.repository.git("rev-list", "--count", f"{world.stable}..{head}") == str(
        int(promoted)
    )
    moves = [row.entry.kind for row in rows if row.entry.kind.startswith("change.")]
    assert moves.count("change.built") == moves.count("change.exposed") == 1
    require_judged_whole(world, rows)


def require_judged_whole(world: Driven, rows: tuple) -> None:
    """The verdict rests on every window since the first, whoever had died meanwhile."""
    decided = [
        row.entry
        for row in rows
        if row.entry.kind in ("change.safe", "change.baked", "change.harm")
        and row.entry.change_id == found.CHANGE
    ]
    stored = WindowStore(world.home, found.CHANGE).read()
    for entry in decided:
        seen = world.shop.evidence.get(str(entry.body["observed"]), Observed)
        assert [one.start for one in seen.windows] == [
            one.start for one in stored[: len(seen.windows)]
        ]
        stage = stage_of(State(seen.state), seen.stage, PLAN)
        again = judge(stored[: len(seen.windows)], stage, PLAN, seen.judgement.at)
        assert again == seen.judgement
        wanted = Verdict.HARM if entry.kind == "change.harm" else Verdict.SAFE
        assert again.verdict is wanted
