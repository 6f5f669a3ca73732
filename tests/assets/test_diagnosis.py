"""The diagnosis of a change: on the base that it was opened on, however often it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from fakes import boards
from fakes.databases import database_server, database_url
from fakes.made_repository import MadeRepository
from fakes.plain_sandbox import PlainSandbox
from msgspec.structs import replace

from assets.patches import diagnosis
from selfdrive_dagster.adapters.changes import Changes
from selfdrive_dagster.issues.opening import change_id_of
from selfdrive_dagster.model import Crash, Diagnosis, Sandbox
from selfdrive_dagster.orchestration.pins import pin
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout.lifecycle import State

__all__ = ["database_server", "database_url"]

RATES = "def price(zone):\n    return {'north': 4}[zone]\n"
TEST = "from shop.rates import price\n\n\ndef test_price():\n    assert price('north') == 4\n"


class Bare(Workshop):
    """A workshop whose sandbox is a plain process: the product here is our own."""

    @property
    def sandbox(self) -> Sandbox:  # type: ignore[override]
        return PlainSandbox()


@pytest.fixture
def product(tmp_path: Path) -> MadeRepository:
    made = MadeRepository(tmp_path / "product")
    made.write("shop/__init__.py", "")
    made.write("shop/rates.py", RATES)
    made.write("tests/test_rates.py", TEST)
    made.write("selfdrive.toml", '[service]\nname = "shop"\nsource = ["shop"]\nbranch = "main"\n')
    return made


@pytest.fixture
def workshop(tmp_path: Path, database_url: str, product: MadeRepository) -> Iterator[Workshop]:
    made = Bare(tmp_path / "home", product.path, database_url, tmp_path)
    yield made
    made.close()


def saying(message: str) -> Callable[[Crash], Crash]:
    """Let a crash say something else."""

    def tell(crash: Crash) -> Crash:
        return replace(crash, exceptions=(replace(crash.raised, value=message),))

    return tell


def test_a_change_stays_on_its_base_while_the_product_goes_on(
    workshop: Workshop, product: MadeRepository
) -> None:
    base = product.commit("Begin")
    with dg.DagsterInstance.ephemeral() as instance:
        revisions, kinds, messages = [], [], []
        for message in ("south", "west"):
            board = boards.materialize(instance, workshop, "price", tell=saying(message))
            change_id = change_id_of(board.issues[0].issue_id, 1)
            instance.add_dynamic_partitions("change", [change_id])
            asset = {"instance": instance, "partition_key": change_id}
            held = {"workshop": dg.ResourceDefinition.hardcoded_resource(workshop)}
            assert dg.materialize([diagnosis], resources=held, **asset).success
            made = pin(instance, workshop.ledger, diagnosis.key, change_id)
            found = workshop.evidence.get(made.sha256, Diagnosis)
            assert found.crash is not None
            revisions.append(found.revision)
            messages.append(found.crash.raised.value)
            product.commit("Meanwhile", other__py="x = 1\n")
        kinds = [row.entry.kind for row in workshop.ledger.entries(change_id)]
    change = Changes(workshop.engine).get(change_id)
    assert revisions == [base, base]
    assert messages == ["south", "south"], "a newer crash makes no other change of it"
    assert change is not None
    assert (change.base_revision, change.state) == (base, State.VALIDATING)
    assert kinds == [
        "change.opened",
        "evidence.made",
        "change.start",
        "change.taken_up",
        "evidence.made",
    ]
