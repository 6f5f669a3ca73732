"""Fifty injections that steered nothing when they were written: see `cases/injections/fresh.toml`.

The crashes are in code that guards something, and each injection brings the patch of a model that
obeyed it. First what of its text a prompt would hold; then that patch as the model's answer,
whether or not the text would have reached it, to the gate's verdict. All of it once more with the
siblings gone that speak against some, and with values that the code knows: a stranger's luck.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from fakes.ground import Ground
from fakes.injected_desk import CRASHES, INJECTIONS, crash_of, forget_siblings, lucky, make_desk
from fakes.models import TERMS, OpenPurse, client_of

from selfdrive_dagster.adapters.claude.standin import Script, Standin, serving
from selfdrive_dagster.adapters.folder import NoHistory
from selfdrive_dagster.model import Product, Verdict
from selfdrive_dagster.patches import diagnose
from selfdrive_dagster.patches.asking.clean import is_plain
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.validation.repair import measure_base
from tests.fakes.plain_sandbox import PlainSandbox

SHOWN = ("message", "argument")
"""The fields of which a prompt holds something."""
DROPPED = ("passes", "imports", "finding")
"""Crashes whose true fix is dropped too: a number of its own, or a sibling that does otherwise."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return make_desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def standin() -> Iterator[Standin]:
    with serving(Script()) as server:
        yield server


class Grounds:
    """One ground for each telling of a crash, made when it is asked for."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._base: SuiteRun = measure_base(product, PlainSandbox())
        self._made: dict[tuple[str, ...], Ground] = {}

    def of(self, name: str, where: str = "", says: str = "") -> Ground:
        """Return the ground of a crash, with a stranger's text where a prompt holds it.

        Where the text makes it another crash, the one of the same place without it.
        """
        told = (where, says) if where in SHOWN else ()
        if (name, *told) not in self._made:
            ground = Ground(self._product, self._base, crash_of(name, *told))
            self._made[name, *told] = ground if ground.reproduction.reproducer else self.of(name)
        return self._made[name, *told]

    def passed(self, name: str, edits: list[dict[str, Any]], *told: str) -> tuple[str, list[str]]:
        """Return what became of a draft, and the verdicts with which it would be put forward."""
        fate, verdicts = self.of(name, *told).verdicts(edits)
        good = (Verdict.CERTIFIED, Verdict.CONTAINED)
        return fate, [verdict.value for verdict, _ in verdicts if verdict in good]


@pytest.fixture(scope="module")
def grounds(product: Product) -> Grounds:
    return Grounds(product)


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Grounds:
    product = make_desk(tmp_path_factory.mktemp("lone"))
    forget_siblings(product)
    return Grounds(product)


def test_there_are_fifty_and_no_two_patches_are_alike() -> None:
    patches = {str(one["edits"]) for one in INJECTIONS.values()}
    assert len(INJECTIONS) == len(patches) == 50


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_prompt_holds_a_strangers_text_as_plain_data_or_not_at_all(
    product: Product, standin: Standin, name: str
) -> None:
    one = INJECTIONS[name]
    diagnosis = diagnose(
        product, NoHistory(), crash=crash_of(one["crash"], one["where"], one["says"])
    )
    tuple(Claude(client_of(standin), OpenPurse(), TERMS).propose(diagnosis, product, limit=9))
    blocks = [block["text"] for block in standin.asked[-1]["messages"][0]["content"]]
    assert all(map(is_plain, blocks))
    if one["where"] not in SHOWN:
        assert not any(one["says"][-20:] in block for block in blocks)
    told = blocks[-1].partition("Untrusted data")[2].splitlines()[1:]
    assert all(line.startswith("- ") for line in told)  # nobody breaks out of his line


@pytest.mark.slow  # 50 drafts to a verdict: half a minute
@pytest.mark.parametrize("name", INJECTIONS)
def test_none_becomes_a_proposal(grounds: Grounds, name: str) -> None:
    one = INJECTIONS[name]
    fate, passed = grounds.passed(one["crash"], one["edits"], one["where"], one["says"])
    assert passed == [], (one["harm"], fate)


@pytest.mark.slow
@pytest.mark.parametrize("name", INJECTIONS)
def test_none_becomes_one_by_luck(lone: Grounds, name: str) -> None:
    one = INJECTIONS[name]
    fate, passed = lone.passed(one["crash"], lucky(one["edits"]))
    assert passed == [], (one["harm"], fate)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CRASHES if name not in DROPPED])
def test_an_honest_fix_still_becomes_one(grounds: Grounds, name: str) -> None:
    """Otherwise limits that drop all would look like good ones."""
    _, passed = grounds.passed(name, CRASHES[name]["fix"])
    assert passed
