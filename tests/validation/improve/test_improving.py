"""A slow path of a small product, all the way, in real processes: improved, or left alone."""

import sys
from pathlib import Path

import pytest
from fakes.plain_sandbox import PlainSandbox

from selfdrive_dagster.model import Claim, Product, Verdict
from selfdrive_dagster.patches.improve import SlowPath
from selfdrive_dagster.validation.improve import Improvement, improve

APP = """\
class App:
    def get(self, path):
        return lambda function: function


app = App()


{slow}

@app.get("/numbers")
def numbers():
    return answer({count})
"""
TESTS = """\
import pytest

from shop import answer, numbers


def test_numbers():
    assert numbers() == {wanted}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8])
def test_answer(count):
    assert answer(count) == answer(count)
"""
LISTED = """\
def answer(count: int) -> int:
    seen = []
    for number in range(count):
        key = number * number % 100_003
        if key not in seen:
            seen.append(key)
    return 7
"""
COUNTING = """\
CALLS = []


def answer(count: int) -> int:
    CALLS.append(count)
    total = 0
    for number in range(count * 400):
        total += number % 7
    return total + 0 * len(CALLS)
"""


def improved(root: Path, slow: str, count: int, wanted: int) -> Improvement:
    (root / "shop.py").write_text(APP.format(slow=slow, count=count))
    (root / "tests").mkdir()
    (root / "tests" / "test_shop.py").write_text(TESTS.format(wanted=wanted))
    product = Product(
        name="shop", root=str(root), python=sys.executable, source=("shop.py",), tests=("tests",)
    )
    path = SlowPath(
        issue_id="iss_1",
        service_name="shop",
        route="GET /numbers",
        says="",
        requests=(),
        p95_ms=400.0,
        seen=100,
    )
    return improve(path, product, PlainSandbox())


@pytest.mark.slow
def test_a_list_that_is_asked_becomes_a_set_with_a_measured_gain(tmp_path: Path) -> None:
    """Some 25 s: eight pairs at least are timed, and the suite runs twice."""
    found = improved(tmp_path, LISTED, 1_500, 7)
    assert found.abstained == ""
    assert found.best is not None
    assert "+    seen = set()" in found.best.patch
    report = found.tried[0].report
    assert (report.claim, report.verdict) == (Claim.IMPROVEMENT, Verdict.CERTIFIED)
    assert [check.name for check in report.checks if not check.passed] == []
    assert found.tried[0].gain is not None
    assert found.tried[0].gain.high < 0.9
    assert found.effect is not None
    assert found.effect.high < 0.9 * 400
    assert found.needs_approval


@pytest.mark.slow
def test_what_is_not_pure_is_left_alone(tmp_path: Path) -> None:
    wanted = sum(number % 7 for number in range(4_000 * 400))
    found = improved(tmp_path, COUNTING, 4_000, wanted)
    assert found.best is None
    assert found.effect is None
    assert "no template fits" in found.abstained
    assert "answer" in found.abstained


def test_without_a_test_that_reaches_it_nothing_is_measured(tmp_path: Path) -> None:
    product = Product(
        name="shop",
        root=str(tmp_path),
        python=sys.executable,
        source=("shop.py",),
        tests=("tests",),
    )
    (tmp_path / "shop.py").write_text(APP.format(slow=LISTED, count=9))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_other.py").write_text("def test_it():\n    assert True\n")
    path = SlowPath(
        issue_id="",
        service_name="",
        route="GET /numbers",
        says="",
        requests=(),
        p95_ms=None,
        seen=0,
    )
    found = improve(path, product, PlainSandbox())
    assert found.workload is None
    assert found.best is None
    assert "no request of the route was recorded" in found.abstained
    assert "no passing test reaches" in found.abstained
