"""Which lines are suspected, and how much."""

import ast
import math
import sys
from pathlib import Path

import pytest
from fakes.plain_sandbox import PlainSandbox
from hypothesis import given
from hypothesis import strategies as st
from reproduce_cases import NoHistory

from selfdrive_dagster.model import FrameFinding, Product
from selfdrive_dagster.patches import diagnose
from selfdrive_dagster.patches.diagnosis.localise import (
    TestLines,
    coverage_of,
    from_tests,
    from_trace,
    ochiai,
    weigh_commit,
)
from selfdrive_dagster.patches.diagnosis.rebound import rebound_before
from selfdrive_dagster.patches.suite import run_suite
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


RECURSIVE = """def walk(node, seen):
    for child in node:
        seen.add(child)
        walk(child, seen)


def start(node):
    return walk(node, set())
"""


def test_a_recursion_counts_as_one_function(tmp_path: Path) -> None:
    """A thousand frames of walk must not put the caller, which gave it a circle, out of sight."""
    (tmp_path / "code.py").write_text(RECURSIVE)
    tree = Tree(Product(name="code", root=str(tmp_path), python="", source=("code.py",)))
    inner = [
        FrameFinding(path="code.py", line=4, function="walk", depth=1 + n) for n in range(1000)
    ]
    outer = FrameFinding(path="code.py", line=8, function="start", depth=1001)
    found = {one.line: one for one in from_trace(tree, (*inner, outer), None)}
    assert found[8].score == 0.5
    assert found[4].score == 1.0
    assert "walk called itself 999 times" in found[4].why
    assert found[8].why == "called from here, 1 function out"


CIRCLE = """def even(n):
    return odd(n - 1)


def odd(n):
    return even(n - 1)
"""


def test_functions_that_call_each_other_in_a_circle_are_equally_near(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CIRCLE)
    tree = Tree(Product(name="code", root=str(tmp_path), python="", source=("code.py",)))
    names = ["even", "odd"] * 20
    frames = tuple(
        FrameFinding(path="code.py", line=2 if name == "even" else 6, function=name, depth=n + 1)
        for n, name in enumerate(names)
    )
    scores = {one.line: one.score for one in from_trace(tree, frames, None)}
    assert scores == {2: 1.0, 6: 1.0}


DECORATED = """import functools


@functools.lru_cache(maxsize=0)
def price(tag):
    return int(tag)
"""


def test_a_decorator_is_suspected_though_no_test_runs_its_line(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(DECORATED)
    tree = Tree(Product(name="code", root=str(tmp_path), python="", source=("code.py",)))
    coverage = (lines("bad", 6, failed=True),)
    by_tests = {one.line: one for one in from_tests(tree, coverage)}
    frame = FrameFinding(path="code.py", line=6, function="price", depth=1)
    by_trace = {one.line: one for one in from_trace(tree, (frame,), None)}
    for found in (by_tests, by_trace):
        assert found[6].score > found[4].score > 0
        assert found[4].why == "decorates price, and runs when the module is imported"


def test_a_hanging_test_points_at_the_function_it_hung_in(tree: Tree, tmp_path: Path) -> None:
    """All of outer and inner ran before the alarm; only inner was running when it rang."""
    stuck = TestLines(
        node_id="bad",
        failed=True,
        lines=frozenset(("code.py", one) for one in (3, 4, 8, 9)),
        stack=(("tests/test_code.py", 5), ("code.py", 9)),
        hung=True,
    )
    found = {one.line: one for one in from_tests(tree, (stuck,))}
    assert found[9].score == found[8].score == 1.0
    assert found[3].score == found[4].score == 0.5
    assert "a test hung in inner" in found[9].why


def test_a_real_hanging_test_leaves_its_lines_and_its_stack(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(
        "def prepare():\n    return 1\n\n\ndef wait():\n    while True:\n        pass\n"
    )
    (tmp_path / "test_code.py").write_text(
        "import loops\n\n\ndef test_it():\n    loops.prepare()\n    loops.wait()\n"
    )
    product = Product(
        name="code", root=str(tmp_path), python=sys.executable, source=("loops.py",), tests=("-q",)
    )
    run = run_suite(product, PlainSandbox(), lines=True, deadline_seconds=1.0)
    found = from_tests(Tree(product), coverage_of(run))
    assert found[0].function == "wait"
    assert "a test hung in wait" in found[0].why
    assert {one.function for one in found} == {"wait", "prepare"}


def test_what_ran_unwatched_after_three_hangs_counts_as_failing_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(
        "def wait():\n    while True:\n        pass\n\n\ndef right():\n    return 1\n"
    )
    (tmp_path / "test_code.py").write_text(
        "import loops\nimport pytest\n\n\n"
        '@pytest.mark.parametrize("n", range(3))\ndef test_it(n):\n    loops.wait()\n\n\n'
        "def test_right():\n    assert loops.right()\n"
    )
    product = Product(
        name="code", root=str(tmp_path), python=sys.executable, source=("loops.py",), tests=("-q",)
    )
    run = run_suite(product, PlainSandbox(), lines=True, deadline_seconds=0.3)
    coverage = coverage_of(run)
    right = next(one for one in coverage if one.node_id.endswith("right"))
    assert run.tests[right.node_id].outcome == "passed"
    assert right.failed
    assert not right.watched
    failing = tuple(one.node_id for one in coverage if one.hung)
    found = diagnose(product, NoHistory(), crash=None, failing_tests=failing, coverage=coverage)
    assert "nobody watched the lines of the other 1." in found.notes[-1]
    assert found.suspicions[0].function == "wait"
    assert found.suspicions[0].why.startswith("3 of 4 failing and 0 passing tests ran it")


def test_a_stack_that_holds_only_the_test_changes_nothing(tree: Tree) -> None:
    bad = TestLines(
        node_id="bad",
        failed=True,
        lines=frozenset({("code.py", 3), ("code.py", 9)}),
        stack=(("tests/test_code.py", 5),),
    )
    assert {one.score for one in from_tests(tree, (bad,))} == {1.0}


def test_the_suspect_commit_comes_first_among_equals(tree: Tree) -> None:
    found = from_tests(tree, (lines("bad", 3, 4, 8, 9, failed=True),))
    weighed = weigh_commit(found, lambda _path, line: "new" if line == 9 else "old", "new")
    assert [one.line for one in weighed] == [9, 3, 4, 8]
    assert weighed[0].score == 1.0
    assert weighed[0].why.endswith("; the suspect commit wrote it")
    assert {one.score for one in weighed[1:]} == {0.7}


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
