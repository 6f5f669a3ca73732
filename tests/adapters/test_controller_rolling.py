"""The controller over real database, git and signatures: a change on its way to users and back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.steered import Steered
from sqlalchemy import Engine

from selfdrive_dagster.rollout.effects import Kind
from selfdrive_dagster.rollout.lifecycle import State

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


@pytest.fixture
def world(tmp_path: Path, database_url: str, engine: Engine) -> Iterator[Steered]:
    made = Steered(tmp_path, database_url, engine)
    yield made
    made.shop.workshop.close()


def test_a_healthy_canary_is_promoted_and_the_branch_moved_on(world: Steered) -> None:
    put = world.approve()
    assert world.head() == world.shop.base
    world.until(State.PROMOTED)
    assert world.head() == put.commit
    assert world.kinds()[-5:] == ["built", "exposed", "safe", "safe", "baked"]
    for _ in range(3):
        world.tick()
    wanted = world.front.wanted
    assert (wanted.stable, wanted.canary, wanted.share) == (put.commit, "", 0.0)
    effects = world.effects()
    assert {kind: len(some) for kind, some in effects.items()} == {
        Kind.START_REVISION: 1, Kind.SET_WEIGHT: 3, Kind.MERGE: 1, Kind.MAKE_STABLE: 1,
    }  # fmt: skip
    assert not [one for some in effects.values() for one in some if one.is_open or one.given_up]
