"""The search's endings: a candidate without an answer is not one that failed."""

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from selfdrive_dagster.model import (
    Diagnosis,
    Ending,
    FrameFinding,
    Product,
    Ran,
    Reproducer,
    Suspicion,
    Way,
)
from selfdrive_dagster.patches.search import Search, search
from selfdrive_dagster.patches.suite import TestResult
from tests.fakes.made_findings import NO_SUITE
from tests.fakes.plain_sandbox import PlainSandbox
from tests.fakes.scripted_sandbox import ScriptedSandbox, answer

TILL = "def is_free(cents):\n    return cents > 5000\n"
TEST = "import till\n\n\ndef test_free():\n    assert till.is_free(5000)\n"
FAILING = Reproducer(
    way=Way.FAILING_TEST,
    path="test_till.py",
    source=None,
    node_ids=("test_till.py::test_free",),
    exception_type="AssertionError",
    function="",
    target_path="",
)
DIAGNOSIS = Diagnosis(
    revision="",
    sentence="",
    crash=None,
    failing_tests=FAILING.node_ids,
    frames=(FrameFinding(path="till.py", line=2, function="is_free", depth=0),),
    suspicions=(Suspicion(path="till.py", line=2, function="is_free", score=1.0, why="it fails"),),
    inputs=(),
    suspect=None,
    exception_type="AssertionError",
)


@pytest.fixture
def product(tmp_path: Path) -> Product:
    (tmp_path / "till.py").write_text(TILL)
    (tmp_path / "test_till.py").write_text(TEST)
    return Product(name="till", root=str(tmp_path), python=sys.executable, source=("till.py",))


def told(*outcomes: str) -> list[dict[str, Any]]:
    return [
        {"kind": "trial", "id": str(number), "outcome": outcome}
        for number, outcome in enumerate(outcomes)
    ]


END = {"kind": "end", "exit": 0}
ENDINGS: dict[str, tuple[Ran, str]] = {
    "exhausted": (answer(*told("killed", "hung"), END), "the candidates are exhausted"),
    "enough": (
        answer(*told("killed", "plausible"), END),
        "1 is plausible: enough of the likeliest kind",
    ),
    "killed": (
        answer(*told("killed", "killed", "killed"), ending=Ending.KILLED),
        "the sandbox was killed (it may have wanted too much memory) when 3 of 40 candidates "
        "had an answer",
    ),
    "killed although one holds": (
        answer(*told("plausible"), ending=Ending.KILLED),
        "1 is plausible: the sandbox was killed (it may have wanted too much memory) when 1 of 40 "
        "candidates had an answer",
    ),
    "out of time": (
        answer(*told("killed"), ending=Ending.TIMED_OUT),
        "30 s were over when 1 of 40 candidates had an answer",
    ),
    "wrote too much": (
        answer(ending=Ending.OUTPUT_CAPPED),
        "the trials wrote more than they may when 0 of 40 candidates had an answer",
    ),
    "exited early": (
        answer(*told("killed"), status=3),
        "the trials exited with 3 when 1 of 40 candidates had an answer",
    ),
    "no answer at all": (answer(END), "no answer came: the reproducer cannot be collected"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_search_says_how_it_ended(name: str, product: Product) -> None:
    ran, stopped = ENDINGS[name]
    sandbox = ScriptedSandbox(ran)
    found = search(DIAGNOSIS, FAILING, NO_SUITE, product, sandbox, max_candidates=40, seconds=30.0)
    drafted = len(sandbox.jobs[0].spec["candidates"])
    assert found.stopped == stopped.replace("of 40", f"of {drafted}")


def test_a_reproducer_that_cannot_be_collected_makes_nothing_plausible(product: Product) -> None:
    gone = replace(FAILING, node_ids=("test_till.py::test_renamed",))
    found = search(
        DIAGNOSIS, gone, NO_SUITE, product, PlainSandbox(), max_candidates=5, seconds=30.0
    )
    assert (found.plausible, found.tried) == ((), 0)
    assert found.stopped == "no answer came: the reproducer cannot be collected"


def test_the_cheapest_failing_test_is_asked_first(product: Product) -> None:
    took = {"hangs": 0.0, "reads": 0.9, "one": 0.009, "two": 0.001}
    tests = {
        f"test_till.py::{name}": TestResult(
            outcome="failed",
            seconds=seconds,
            exception_type="selfdrive_harness.session.SelfdriveDeadline" if name == "hangs" else "",
        )
        for name, seconds in took.items()
    }
    base = replace(NO_SUITE, tests=tests)
    several = replace(FAILING, node_ids=tuple(base.tests))
    sandbox = ScriptedSandbox(answer(*told("killed"), END))
    search(DIAGNOSIS, several, base, product, sandbox, max_candidates=5, seconds=30.0)
    asked = [node_id.rpartition("::")[2] for node_id in sandbox.jobs[0].spec["targets"]]
    assert asked == ["one", "two", "reads", "hangs"]


def test_a_search_goes_on_without_what_may_not_be(product: Product) -> None:
    def search_allowing(words: str) -> Search:
        return search(
            DIAGNOSIS, FAILING, NO_SUITE, product, PlainSandbox(), max_candidates=40, seconds=30.0,
            allowed=lambda patch: words in patch.rpartition("\n+")[2],
        )  # fmt: skip

    some, none = (search_allowing(words) for words in ("5000", "no patch says this"))
    assert some.plausible
    assert all("5000" in one.patch.rpartition("\n+")[2] for one in some.plausible)
    assert none.plausible == ()
    assert none.outcomes["refused"] > len(some.plausible)
    assert none.stopped == "the candidates are exhausted"
