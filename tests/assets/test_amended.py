"""An amended change goes through the real stages again, and is proposed as its author wrote it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from fakes import boards
from fakes.databases import database_server, database_url
from fakes.made_repository import MadeRepository
from fakes.signers import EVE, key_of, line
from msgspec.structs import replace

from assets.patches import candidates, diagnosis, reproducer
from assets.rollout import proposal
from assets.validation import report
from selfdrive_dagster.adapters.approving import Desk, choose_signer
from selfdrive_dagster.adapters.approving.amending import amend
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.issues.opening import change_id_of
from selfdrive_dagster.model import Crash, SandboxLevel
from selfdrive_dagster.orchestration.proposing import look_around
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.lifecycle import State

__all__ = ["database_server", "database_url"]

RATES = """TABLE = {'north': 4, 'south': 5, 'east': 6, 'west': 7, 'up': 8}


def price(zone, kilos):
    return TABLE[zone] * kilos
"""
EDITED = RATES.replace("TABLE[zone]", "TABLE.get(zone, TABLE['up'])")
TEST = """import pytest

from shop.rates import TABLE, price


@pytest.mark.parametrize('zone', TABLE)
@pytest.mark.parametrize('kilos', [1, 2, 7])
def test_price(zone, kilos):
    assert price(zone, kilos) == TABLE[zone] * kilos
"""
STAGES = [diagnosis, reproducer, candidates, report, proposal]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def product(tmp_path: Path) -> MadeRepository:
    made = MadeRepository(tmp_path / "product")
    made.write("shop/__init__.py", "")
    made.write("shop/rates.py", RATES)
    made.write("tests/test_rates.py", TEST)
    made.write("selfdrive.toml", '[service]\nname = "shop"\nsource = ["shop"]\nbranch = "main"\n')
    made.write(".selfdrive/allowed_signers", line(EVE, key_of(tmp_path, "eve")))
    made.commit("Begin")
    return made


@pytest.fixture
def workshop(tmp_path: Path, database_url: str, product: MadeRepository) -> Iterator[Workshop]:
    made = Workshop(tmp_path / "home", product.path, database_url, tmp_path)
    if made.sandbox.level() is not SandboxLevel.FULL:
        pytest.skip("no full sandbox here")
    yield made
    made.close()


def with_arguments(crash: Crash) -> Crash:
    """The crash as an SDK tells it: with the variables of its frame, at the line that raised."""
    [raised] = crash.exceptions
    [frame] = raised.frames
    told = replace(frame, line=5, variables={"zone": "'US'", "kilos": "2"})
    return replace(crash, exceptions=(replace(raised, frames=(told,)),))


def test_an_amended_change_is_proposed_as_its_author_wrote_it(
    workshop: Workshop, tmp_path: Path
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        board = boards.materialize(instance, workshop, "price", tell=with_arguments)
        change_id = change_id_of(board.issues[0].issue_id, 1)
        instance.add_dynamic_partitions("change", [change_id])

        def proposed() -> Proposal:
            held = {"workshop": dg.ResourceDefinition.hardcoded_resource(workshop)}
            done = dg.materialize(
                STAGES, resources=held, instance=instance, partition_key=change_id
            )
            assert done.success
            [row] = workshop.ledger.find(MADE, change_id, {"asset": "rollout/proposal"})
            return workshop.evidence.get(row.entry.body["sha256"], Proposal)

        first = proposed()
        assert first.patch is not None and "TABLE['up']" not in first.patch
        repository = workshop.repository()
        desk = Desk(workshop.ledger, workshop.evidence, repository, workshop.settings)
        change = workshop.changes.get(change_id)
        signer = choose_signer([tmp_path / "eve"], line(EVE, tmp_path / "eve"))
        amend(
            change, desk, workshop.decisions, signer,
            patch=render_diff("shop/rates.py", RATES, EDITED), replaces=first.commit,
            reason="an unknown zone costs the dear rate", now=datetime.now(UTC),
        )  # fmt: skip
        look_around(workshop, "run-9")
        assert workshop.changes.get(change_id).state is State.VALIDATING
        second = proposed()
    assert workshop.changes.get(change_id).state is State.AWAITING_APPROVAL
    assert second.patch is not None and "TABLE['up']" in second.patch
    assert second.commit != first.commit
    repository.refresh()
    assert repository.lookup(f"refs/heads/loop/{change_id}") == second.commit
