"""One failing test is content with a constant: which edits are odd, and which are repairs."""

import sys
from pathlib import Path

import pytest

from selfdrive_dagster.model import (
    Candidate,
    Claim,
    Product,
    Report,
    Support,
    Verdict,
    short_id,
)
from selfdrive_dagster.patches import failing_test_reproducer
from selfdrive_dagster.patches.suite import run_suite
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.validation.gate import prove_one
from selfdrive_dagster.validation.general import expected_by, oddities
from tests.fakes.plain_sandbox import PlainSandbox

TILL = '''\
"""A till."""

RATES = {"north": 4}


def points(cents):
    """Return three points an euro, and one for coming."""
    return 2 * cents + 1


def is_free(cents):
    return cents > 5000


def is_late(days):
    return days > 10


def micros(fraction):
    return int(float("0." + fraction) * 1000000)


def greeting(name):
    return "Helo " + name


def rest(words):
    return words[1:]


def first(words):
    return sorted(words)[0]
'''
ODD = {
    "the asserted answer": ("2 * cents + 1", "7", {7}, {"answer", "bare"}),
    "the asserted answer in a branch of its own": (
        "    return 2 * cents + 1",
        "    if cents == 2:\n        return 7\n    return 2 * cents + 1",
        {7},
        {"answer"},
    ),
    "the asserted answer as a default": ("points(cents)", "points(cents=7)", {7}, {"answer"}),
    "the asserted answer as a float": ("2 * cents + 1", "7.0", {7}, {"answer", "bare"}),
    "the asserted text": ('"Helo " + name', '"Hello Ada"', {"Hello Ada"}, {"answer", "bare"}),
    "a text that holds the asserted one": (
        '"Helo " + name',
        'name + "Hello Ada!"',
        {"Hello Ada"},
        {"answer", "bare"},
    ),
    "another constant than the asserted one": ("2 * cents + 1", "None", {7}, {"bare"}),
    "an early return of a constant": (
        "    return cents > 5000",
        "    return True\n    return cents > 5000",
        {9},
        {"bare"},
    ),
    "a test that became a constant": ("cents > 5000", "True", {9}, {"bare"}),
    "a factor nobody knew": ("1000000", "1000001", {29}, {"number"}),
}  # fmt: skip
SOUND = {
    "more or equal": ("cents > 5000", "cents >= 5000", {5000}),
    "a boundary moved by one": ("days > 10", "days > 11", {11}),
    "a boundary moved to the asserted number": ("cents > 5000", "cents > 4999", {4999}),
    "a slice from another place": ("words[1:]", "words[3:]", {3}),
    "an index from the end": ("sorted(words)[0]", "sorted(words)[-1]", {9}),
    "a formula": ("2 * cents + 1", "2 * cents + cents + 1", {7}),
    "a formula with a number of its own": ("cents + 1", "(cents // 100) + 1", {7}),
    "a small number": ("2 * cents + 1", "2 * cents + 2", {6}),
    "a number the file knows": ("1000000", "5000", {29}),
    "a text that the name completes": ('"Helo " + name', '"Hello " + name', {"Hello Ada"}),
    "the words of an error": (
        "    return sorted(words)[0]",
        '    if not words:\n        raise ValueError("no words")\n    return sorted(words)[0]',
        {"no words"},
    ),
    "a guard that answers with a small constant": (
        "    return sorted(words)[0]",
        "    if not words:\n        return None\n    return sorted(words)[0]",
        {7},
    ),
    "nothing at all": ("days > 10", "days > 10", {10}),
}


def edited(old: str, new: str) -> str:
    assert TILL.count(old) == 1
    return TILL.replace(old, new)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_edit_is_seen(name: str) -> None:
    old, new, expected, kinds = ODD[name]
    assert {odd.kind for odd in oddities(TILL, edited(old, new), expected)} == kinds


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_edit_is_left_alone(name: str) -> None:
    old, new, expected = SOUND[name]
    assert list(oddities(TILL, edited(old, new), expected)) == []


TESTS = """\
from decimal import Decimal

import pytest
import till

CASES = [(50, "fifty")]


def test_plain():
    "Some words."
    assert till.points(2) == 7


def test_with_a_name():
    expected = [7, 70]
    assert till.points(33) in expected


class TestPoints:
    def test_built(self):
        self.assertEqual(till.points(cents=2), Decimal("7.5"))


@pytest.mark.parametrize("cents, points", [(200, 7), (300, 10)])
def test_cases(cents, points):
    assert till.points(cents) == points


@pytest.mark.parametrize("cents, name", CASES)
def test_shared(cents, name):
    assert till.name(cents) == name
"""
EXPECTED = {
    "test_plain": {7, "Some words."},
    "test_with_a_name": {7, 70},
    "TestPoints::test_built": {"7.5"},
    "test_cases[200-7]": {200, 7},
    "test_cases[300-10]": {300, 10},
    "test_shared[50-fifty]": {50, "fifty"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_test_expects_is_read_outside_the_calls_it_makes(name: str, tmp_path: Path) -> None:
    (tmp_path / "test_till.py").write_text(TESTS)
    product = Product(name="till", root=str(tmp_path), python=sys.executable)
    assert expected_by(product, f"test_till.py::{name}") == EXPECTED[name]


HOLDS = """\
import pytest
import till


def test_late():
    assert till.is_late(12)
    assert not till.is_late(9)


def test_free():
    assert till.is_free(6000)
    assert not till.is_free(4000)


def test_first():
    assert till.first(["b", "a"]) == "a"


def test_nothing():
    assert till.points(0) == 1


def test_half():
    assert till.micros("5") == 500000
"""
IDIOM = (Support(kind="sibling_idiom", where="till.py:3", says="as there"),)
ONE = "def test_it():\n    assert till.points(2) == 7\n"
TWO = ONE + "\n\ndef test_more():\n    assert till.points(3) == 10\n"
CONSTANT = "    return 1 if cents == 0 else 7"
FORMULA = "    return cents + 2 * cents + 1"
FACTOR = "    return 3 * cents + 1"
POINTS = "    return 2 * cents + 1"
PROOFS: dict[str, tuple[str, str, str, Verdict, str]] = {
    "a constant for one test": (ONE, POINTS, CONSTANT, Verdict.INCONCLUSIVE, "brings in 7"),
    "a formula for one test": (ONE, POINTS, FORMULA, Verdict.CERTIFIED, ""),
    "a new number for one test": (ONE, POINTS, FACTOR, Verdict.INCONCLUSIVE, "the number 3"),
    "a new number for two tests": (TWO, POINTS, FACTOR, Verdict.CERTIFIED, ""),
    "the formula for two tests": (TWO, POINTS, FORMULA, Verdict.CERTIFIED, ""),
    "a branch for each of two tests": (
        TWO,
        POINTS,
        "    return {0: 1, 2: 7, 3: 10}[cents]",
        Verdict.CERTIFIED,
        "",
    ),
    "a boundary that includes": (
        "def test_it():\n    assert till.is_free(5000)\n",
        "cents > 5000",
        "cents >= 5000",
        Verdict.CERTIFIED,
        "",
    ),
    "a boundary moved by one": (
        "def test_it():\n    assert not till.is_late(11)\n",
        "days > 10",
        "days > 11",
        Verdict.CERTIFIED,
        "",
    ),
    "a factor that happens to fit": (
        "def test_it():\n    assert till.micros('000249') == 249\n",
        "* 1000000",
        "* 1000001",
        Verdict.INCONCLUSIVE,
        "brings in the number 1000001",
    ),
}


def proven(
    tmp_path: Path,
    tests: str,
    patch: str,
    supports: tuple[Support, ...] = (),
    node_ids: tuple[str, ...] | None = None,
) -> Report:
    (tmp_path / "till.py").write_text(TILL)
    (tmp_path / "test_till.py").write_text(HOLDS + "\n\n" + tests)
    product = Product(
        name="till", root=str(tmp_path), python=sys.executable, source=("till.py",), tests=("-q",)
    )
    sandbox = PlainSandbox()
    base = run_suite(product, sandbox, lines=True)
    reproducer = failing_test_reproducer(product, sandbox, node_ids=node_ids).reproducer
    assert reproducer is not None
    given = Candidate(
        id=short_id("cnd", patch),
        generator="test",
        family="test",
        path="till.py",
        line=8,
        function="points",
        patch=patch,
        claim=Claim.REPAIR,
        invented="",
        supports=supports,
    )
    return prove_one(given, reproducer, base, product, sandbox)


FAST = ("a constant for one test", "the formula for two tests", "a boundary that includes")


@pytest.mark.parametrize(
    "name",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in PROOFS],
)
def test_one_failing_test_does_not_certify_a_constant(name: str, tmp_path: Path) -> None:
    tests, old, new, verdict, says = PROOFS[name]
    report = proven(tmp_path, tests, render_diff("till.py", TILL, edited(old, new)))
    assert report.verdict is verdict, report.reason
    assert says in report.reason


def test_a_sibling_idiom_vouches_for_a_constant_too(tmp_path: Path) -> None:
    patch = render_diff("till.py", TILL, edited(POINTS, CONSTANT))
    assert proven(tmp_path, ONE, patch, IDIOM).verdict is Verdict.CERTIFIED


OTHERS = {
    "one that failed alike and is left": ("assert till.micros('1') == 'one'", False),
    "one that failed in another way": ("till.micros('1') / 0", True),
    "one that runs other lines": ("assert till.points(1) == 'one'", True),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_patch_mends_all_that_failed_alike_at_its_lines(name: str, tmp_path: Path) -> None:
    body, mends = OTHERS[name]
    asked = "test_till.py::test_it"
    first = "def test_it():\n    assert till.micros('000249') == 249\n"
    tests = f"{first}\n\ndef test_other():\n    {body}\n"
    patch = render_diff("till.py", TILL, edited("* 1000000", "* 1000001"))
    report = proven(tmp_path, tests, patch, node_ids=(asked,))
    found = {check.name: check.passed for check in report.checks}
    assert found["mends_all"] is mends
