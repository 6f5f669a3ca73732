"""Which lines are suspected, and how much."""

import ast
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.model import FrameFinding, Product
from selfdrive_dagster.patches.diagnosis.localise import TestLines, from_tests, from_trace, ochiai
from selfdrive_dagster.patches.diagnosis.rebound import rebound_before
from selfdrive_dagster.patches.syntax import Tree

CODE = '''def outer(x):
    """Call inner."""
    y = x + 1
    return inner(y)


def inner(y):
    if y:
        y = 10 // (y - 5)
    return y
'''


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "code.py").write_text(CODE)
    return Tree(Product(name="code", root=str(tmp_path), python="", source=("code.py",)))


FRAMES = (
    FrameFinding(path="code.py", line=9, function="inner", depth=1),
    FrameFinding(path="code.py", line=4, function="outer", depth=2),
)


def lines(name: str, *numbers: int, failed: bool = False) -> TestLines:
    return TestLines(
        node_id=name, failed=failed, lines=frozenset(("code.py", one) for one in numbers)
    )


def test_without_passing_tests_the_trace_alone_speaks(tree: Tree) -> None:
    found = from_trace(tree, FRAMES, None)
    scores = {one.line: one.score for one in found}
    assert found[0].line == 9
    assert scores[9] == 1.0
    assert scores[4] == 0.5
    assert 2 not in scores  # the docstring holds no fault
    assert scores[8] > scores[10] > 0
    assert found[0].why == "raised here"


def test_lines_that_pass_often_are_less_suspect(tree: Tree) -> None:
    coverage = tuple(lines(f"t{n}", 8, 10) for n in range(3))
    scores = {one.line: one.score for one in from_trace(tree, FRAMES, coverage)}
    assert scores[9] == 1.0
    assert scores[8] == pytest.approx(0.5 / 1.1 / math.sqrt(4), abs=1e-6)


def test_failing_tests_point_at_what_only_they_run(tree: Tree) -> None:
    coverage = (lines("bad", 3, 4, 8, 9, failed=True), lines("good", 3, 4, 8, 10))
    found = from_tests(tree, coverage)
    assert found[0].line == 9
    assert found[0].score == 1.0
    assert {one.line for one in found} == {3, 4, 8, 9}
    assert found[0].why == "1 of 1 failing and 0 passing tests ran it"


def test_what_a_failing_assertion_prints_is_hardly_suspect(tmp_path: Path) -> None:
    method = "    def {0}(self):\n        return 2\n\n"
    code = "class A:\n" + method.format("__repr__") + method.format("one")
    (tmp_path / "code.py").write_text(code)
    tree = Tree(Product(name="code", root=str(tmp_path), python="", source=("code.py",)))
    coverage = (lines("bad", 3, 6, failed=True), lines("good", 6), lines("fine", 6))
    assert [one.line for one in from_tests(tree, coverage)] == [6, 3]


@given(failed=st.integers(0, 50), passed=st.integers(0, 50), more=st.integers(0, 50))
def test_ochiai_is_a_share_and_falls_with_passes(failed: int, passed: int, more: int) -> None:
    total = failed + more
    score = ochiai(failed, passed, total)
    assert 0.0 <= score <= 1.0
    assert ochiai(failed, passed + 1, total) <= score
    assert (score == 0.0) == (failed == 0)


@pytest.mark.parametrize(
    ("body", "line", "names"),
    [
        ("x = 1\nuse(x)", 3, {"x"}),
        ("use(x)\nx = 1", 2, set()),
        ("x = int(x)", 2, set()),
        ("for i in y:\n    use(x)\n    x = i", 3, {"i", "x"}),
        ("while y:\n    use(x)\n    x += 1", 3, {"x"}),
        ("with open(x) as x:\n    use(x)", 3, {"x"}),
        ("if (x := y):\n    use(x)", 3, {"x"}),
        ("if y:\n    x = 1\nelse:\n    use(x)", 5, {"x"}),
        ("try:\n    use(x)\nexcept KeyError as x:\n    use(y)", 5, {"x"}),
        ("del x\nuse(y)", 3, {"x"}),
        ("import x\nuse(x)", 3, {"x"}),
        ("y = [x for x in y]\nuse(x)", 3, {"y"}),
        ("y = [(x := z) for z in y]\nuse(x)", 3, {"x", "y"}),
        ("def x():\n    z = 1\nuse(x)", 4, {"x"}),
    ],
)
def test_a_parameter_bound_again_before_the_raise_is_seen(
    body: str, line: int, names: set[str]
) -> None:
    text = "def f(x, y):\n" + "".join(f"    {one}\n" for one in body.split("\n"))
    [function] = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert rebound_before(function, line) == names
