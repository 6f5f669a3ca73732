"""Crashes that the real SDK sent, and the tests that come of them.

Each case of tests/cases/reproduce is a small product, laid out and run in plain processes. The
expected text of a reproducer stands beside it as `expected.py`; cases without one have none.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from fakes.plain_sandbox import PlainSandbox
from reproduce_cases import CASES, NoHistory, crash_of, diagnosis_of, product_of, reproduce_case

from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import Product, Reproduction, SandboxLevel, Way
from selfdrive_dagster.patches import diagnose, failing_test_reproducer, reproduce
from selfdrive_dagster.patches.suite import run_suite

REPRODUCED = {
    "literal_arguments": Way.CAPTURED_ARGUMENTS,
    "dataclass_argument": Way.CAPTURED_ARGUMENTS,
    "outward": Way.CAPTURED_ARGUMENTS,
    "coroutine": Way.CAPTURED_ARGUMENTS,
    "rebound_parameter": Way.CAPTURED_ARGUMENTS,
    "hostile_strings": Way.CAPTURED_ARGUMENTS,
    "refused_argument": Way.CAPTURED_ARGUMENTS,
    "held_in_a_file": Way.CAPTURED_ARGUMENTS,
    "borrowed_self": Way.BORROWED_STATE,
    "unsent_state": Way.BORROWED_STATE,
    "http_login": Way.HTTP_REPLAY,
    "http_no_tests": Way.HTTP_REPLAY,
}

NOT_REPRODUCED = {
    "cut_containers": "values has exactly ten entries, so the sender may have cut it",
    "by_chance": "did not fail: the test passed",
    "by_hash": "reproduced once, but not again (did not fail: the test passed)",
}


Reproduce = Callable[[str], tuple[Reproduction, Product]]


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Reproduce:
    """Reproduce a case once for all tests of this module."""
    return cache(lambda case: reproduce_case(case, tmp_path_factory.mktemp(case)))


def test_every_case_is_expected() -> None:
    names = {path.parent.name for path in CASES.glob("*/production.py")}
    assert names == REPRODUCED.keys() | NOT_REPRODUCED.keys()


@pytest.mark.parametrize("case", REPRODUCED)
def test_a_crash_becomes_a_readable_failing_test(case: str, reproduced: Reproduce) -> None:
    reproduction, _ = reproduced(case)
    reproducer = reproduction.reproducer
    assert reproducer is not None, reproduction.attempts
    assert reproducer.way is REPRODUCED[case]
    assert reproducer.source == (CASES / case / "expected.py").read_text()
    assert reproduction.attempts[-1].outcome.endswith("twice in a row")
    assert reproducer.path.startswith("tests/test_selfdrive_")


@pytest.mark.parametrize("case", NOT_REPRODUCED)
def test_a_crash_that_cannot_be_reproduced_says_why(case: str, reproduced: Reproduce) -> None:
    reproduction, _ = reproduced(case)
    assert reproduction.reproducer is None
    assert NOT_REPRODUCED[case] in [one.outcome for one in reproduction.attempts]


FIXES = [
    ("literal_arguments", "parcels/rates.py", "ZONES[country]", 'ZONES.get(country, "world")'),
    ("literal_arguments", "parcels/rates.py", "weight_g <= 0", "country not in ZONES"),
    ("held_in_a_file", "scales/rates.json", '"pots": 19', '"pots": 0.19'),
    ("borrowed_self", "bank/ledger.py", "== currency)", "== currency), default=0)"),
    ("unsent_state", "letters/writing.py", "if text and", "if text and self.bullet and"),
    ("http_login", "kiosk/app.py", "share = ", "share = wanted['quantity'] and "),
]


@pytest.mark.parametrize(("case", "path", "old", "new"), FIXES)
def test_a_reproducer_passes_on_a_fix(
    case: str, path: str, old: str, new: str, reproduced: Reproduce
) -> None:
    reproduction, product = reproduced(case)
    assert reproduction.reproducer is not None
    fixed = product.read(path).replace(old, new)
    if case == "borrowed_self":
        fixed = fixed.replace("max(row[1]", "max((row[1]")
    run = run_suite(
        product,
        PlainSandbox(),
        node_ids=reproduction.reproducer.node_ids,
        overlay={reproduction.reproducer.path: reproduction.reproducer.source, path: fixed},
    )
    assert run.with_outcome("passed") == reproduction.reproducer.node_ids, run


def test_what_came_from_production_is_listed(reproduced: Reproduce) -> None:
    reproduction, _ = reproduced("literal_arguments")
    assert reproduction.reproducer is not None
    assert reproduction.reproducer.production_values == ("2500", "'JP'")
    told = {one.name: one.expression for one in reproduction.reproducer.arguments}
    assert told == {"weight_g": "2500", "country": "'JP'", "express": "True", "note": "'none'"}


def test_what_a_test_lends_is_told(reproduced: Reproduce) -> None:
    reproduction, _ = reproduced("borrowed_self")
    assert reproduction.reproducer is not None
    [this, *_] = reproduction.reproducer.arguments
    assert this.expression is None
    assert this.unknown == (
        "is a <Ledger object>: its state was not sent; test_balance_of_an_account lends its own"
    )


def test_what_the_exception_tells_of_an_object_is_told(reproduced: Reproduce) -> None:
    reproduction, _ = reproduced("unsent_state")
    assert reproduction.reproducer is not None
    told = reproduction.reproducer.arguments[-1]
    assert (told.name, told.expression) == ("self.bullet", '""')
    assert told.unknown == "it was not sent: IndexError at `self.bullet[0]` tells it"


def test_nothing_runs_below_a_full_sandbox(tmp_path: Path) -> None:
    product = product_of("literal_arguments", tmp_path)
    with pytest.raises(Refused):
        reproduce(
            diagnosis_of("literal_arguments", product), product, PlainSandbox(SandboxLevel.NONE)
        )


def test_a_trace_without_frames_of_ours_ends_at_once(tmp_path: Path) -> None:
    product = product_of("literal_arguments", tmp_path)
    (tmp_path / "other").mkdir()
    sandbox = PlainSandbox()
    other = product_of("coroutine", tmp_path / "other")
    diagnosis = diagnose(other, NoHistory(), crash=crash_of("literal_arguments"))
    found = reproduce(diagnosis, product, sandbox)
    assert found.reproducer is None
    assert sandbox.jobs == []
    assert "no reported frame" in found.attempts[0].outcome


def test_failing_tests_are_their_own_reproducer(tmp_path: Path) -> None:
    product = product_of("literal_arguments", tmp_path)
    tests = Path(product.root) / "tests" / "test_rates.py"
    tests.write_text(
        tests.read_text()
        + "\n\ndef test_abroad():\n    assert parcel_rate(1, 'CH') == 1\n"
        + "\n\ndef test_by_seed():\n    assert hash('b') % 2\n"
    )
    found = failing_test_reproducer(product, PlainSandbox())
    assert found.reproducer is not None
    assert found.reproducer.way is Way.FAILING_TEST
    assert found.reproducer.source is None
    assert found.reproducer.node_ids == ("tests/test_rates.py::test_abroad",)
    assert {one.target.rpartition("::")[2]: one.outcome for one in found.attempts} == {
        "test_by_seed": "failed once, then passed: it is flaky",
        "test_abroad": "fails on the base revision, twice",
    }


def test_a_green_suite_has_no_failing_test(tmp_path: Path) -> None:
    found = failing_test_reproducer(product_of("outward", tmp_path), PlainSandbox())
    assert found.reproducer is None
    assert found.attempts[0].outcome == "all 1 tests pass or are skipped"
