"""Cases that two runs name otherwise: in the gate, and the pairing by itself."""

from pathlib import Path

import pytest

from selfdrive_dagster.model import Ending, Product, Verdict
from selfdrive_dagster.patches.suite import SuiteRun, TestResult, run_suite
from selfdrive_dagster.validation.gate import prove_one
from selfdrive_dagster.validation.naming import named_as_on
from tests.fakes.plain_sandbox import PlainSandbox
from tests.validation.test_gate import CRASH, FIRST, GUARD, base, candidate, product

__all__ = ["base", "product"]

NAMED_BY_THE_PRODUCT = """\
import pytest

import numbers_app.reading as reading


@pytest.mark.parametrize("number", [reading.read(text) for text in ("3", "-4", "5")])
def test_it_is_small(number):
    assert abs(number) < 6


def name_of(text):
    try:
        return str(reading.read(text))
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("text", ["", "7"], ids=name_of)
def test_it_is_a_text(text):
    assert text or True
"""


@pytest.mark.parametrize("patch", [GUARD, (FIRST, FIRST + "    text = text or '9'\n")])
def test_cases_may_be_named_after_what_the_patch_changes(
    patch: tuple[str, str], product: Product, tmp_path: Path
) -> None:
    (tmp_path / "tests/test_named.py").write_text(NAMED_BY_THE_PRODUCT)
    before = run_suite(product, PlainSandbox(), lines=True)
    report = prove_one(candidate(*patch), CRASH, before, product, PlainSandbox(), seed=3)
    told = {check.name: check for check in report.checks}
    assert report.verdict is Verdict.CERTIFIED, report.reason
    assert told["suite"].numbers["renamed"] == 1


def run_of(**cases: str) -> SuiteRun:
    """Return a run of cases of `t::a`, named by their keys, with their outcomes."""
    ids = {f"t::a[{name}]": TestResult(outcome=outcome) for name, outcome in cases.items()}
    return SuiteRun(
        ending=Ending.EXITED, exit=0, collected=tuple(ids), errors=(), tests=ids, lines={},
        repeated=(), stderr="", seconds=0.0,
    )  # fmt: skip


BEFORE = run_of(one="passed", two="passed", three="failed")
NAMED = {
    "as before": (run_of(one="passed", two="passed", three="failed"), 0, {"three"}),
    "in another order": (run_of(three="failed", one="passed", two="passed"), 0, {"three"}),
    "all pass": (run_of(four="passed", five="passed", six="passed"), 3, set()),
    "one failed and fails": (run_of(one="passed", two="passed", six="failed"), 1, {"three"}),
    "the worst is taken": (run_of(one="passed", five="passed", six="failed"), 2, {"two"}),
    "one is gone": (run_of(one="passed", six="failed"), 0, {"six"}),
    "one more": (run_of(one="passed", four="passed", five="passed", six="failed"), 0, {"six"}),
}


@pytest.mark.parametrize("name", NAMED)
def test_cases_that_did_not_pass_are_taken_for_those_that_must(name: str) -> None:
    run, renamed, failing = NAMED[name]
    told, count = named_as_on(BEFORE, run, BEFORE.with_outcome("passed"))
    assert count == renamed
    assert set(told.with_outcome("failed")) == {f"t::a[{one}]" for one in failing}
    if count:
        assert set(told.collected) == set(BEFORE.collected)
