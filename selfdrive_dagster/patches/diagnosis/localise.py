"""Where the fault may be: lines with a suspicion in (0, 1], highest first.

A line's suspicion is Ochiai's coefficient, `ef / sqrt(total_failed * (ef + ep))`, where `ef`
and `ep` are the failing and passing tests that ran it (Abreu et al., "On the Accuracy of
Spectrum-based Fault Localization", 2007). With a trace it is weighted by 1/depth, counted
from the innermost frame. Without passing tests the trace alone speaks: nothing is ever
divided by the number of passes.

Belongs here: coverage and suspicion. Does not belong: running tests, editing lines.
"""

import ast
import math
from collections import Counter

import msgspec

from selfdrive_dagster.model import FrameFinding, Suspicion
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.syntax import Function, Module, Tree

NEIGHBOUR = 0.5
"""What another line of a crashing function weighs, against the line that raised."""

LATER = 0.2
"""What a line below the raise weighs: it ran only if a loop came back."""

RENDERING = 0.1
"""What a line of `__repr__` and its like weighs: a failing assertion renders its operands, so
these lines run because the test failed and not the other way round."""

RENDERERS = ("__repr__", "__str__", "__format__")

LIMIT = 200

Line = tuple[str, int]


class TestLines(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the product's suite: how it ended and the product's lines it ran."""

    __test__ = False  # pytest must not collect it

    node_id: str
    failed: bool
    lines: frozenset[Line]


Coverage = tuple[TestLines, ...]


def coverage_of(run: SuiteRun) -> Coverage:
    """Read a run of the suite with lines; skipped tests and tests without lines are left out."""
    return tuple(
        TestLines(
            node_id=node_id,
            failed=run.tests[node_id].outcome in ("failed", "error"),
            lines=frozenset((path, line) for path, lines in files.items() for line in lines),
        )
        for node_id, files in run.lines.items()
        if node_id in run.tests and run.tests[node_id].outcome in ("passed", "failed", "error")
    )


def ochiai(executed_failed: int, executed_passed: int, total_failed: int) -> float:
    """Return Ochiai's coefficient in [0, 1]; 0 when no failing test ran the line."""
    if not executed_failed or not total_failed:
        return 0.0
    return executed_failed / math.sqrt(total_failed * (executed_failed + executed_passed))


def from_trace(
    tree: Tree, frames: tuple[FrameFinding, ...], coverage: Coverage | None
) -> tuple[Suspicion, ...]:
    """Return suspicions around a trace: 1/depth of the frame × Ochiai, the crash being the failure.

    The line that raised (or called) counts whole, other statements of its function in part.
    """
    passes = Counter(line for test in coverage or () if not test.failed for line in test.lines)
    found: dict[Line, Suspicion] = {}
    for frame in frames:
        module = tree.module(frame.path)
        function = module.function(frame.function) if module else None
        for line, share, why in _lines_of(module, function, frame):
            passed = passes[frame.path, line]
            score = share / frame.depth * ochiai(1, passed, 1)
            if coverage:
                why = f"{why}; {passed} passing test{'s' * (passed != 1)} ran it"
            _keep(found, frame.path, line, frame.function, score, why)
    return _ranked(found)


def from_tests(tree: Tree, coverage: Coverage) -> tuple[Suspicion, ...]:
    """Return suspicions from failing and passing tests alone."""
    failed = Counter(line for test in coverage if test.failed for line in test.lines)
    passed = Counter(line for test in coverage if not test.failed for line in test.lines)
    total = sum(test.failed for test in coverage)
    found: dict[Line, Suspicion] = {}
    for (path, line), times in failed.items():
        module = tree.module(path)
        function = module.function_at(line) if module else None
        if function is None or line == function.first_line:
            continue
        why = f"{times} of {total} failing and {passed[path, line]} passing tests ran it"
        weight = RENDERING if function.name in RENDERERS else 1.0
        score = weight * ochiai(times, passed[path, line], total)
        _keep(found, path, line, function.qualname, score, why)
    return _ranked(found)


def _lines_of(
    module: Module | None, function: Function | None, frame: FrameFinding
) -> list[tuple[int, float, str]]:
    place = "raised here" if frame.depth == 1 else f"called from here, {frame.depth - 1} frames out"
    lines = [(frame.line, 1.0, place)]
    if module is None or function is None:
        return lines
    for line in sorted(_statements(function)):
        if line == frame.line:
            continue
        far = 1 + abs(frame.line - line) / 10
        weight = NEIGHBOUR if line < frame.line else LATER
        lines.append((line, weight / far, f"in {function.name}, near the line of the trace"))
    return lines


def _statements(function: Function) -> set[int]:
    """Return the first lines of a function's statements, its docstring left out."""
    body = function.node.body
    first = body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = body[1:] if has_docstring else body
    return {
        node.lineno
        for statement in start
        for node in ast.walk(statement)
        if isinstance(node, ast.stmt)
    }


def _keep(
    found: dict[Line, Suspicion], path: str, line: int, function: str, score: float, why: str
) -> None:
    before = found.get((path, line))
    if score > 0 and (before is None or before.score < score):
        found[path, line] = Suspicion(
            path=path, line=line, function=function, score=round(score, 6), why=why
        )


def _ranked(found: dict[Line, Suspicion]) -> tuple[Suspicion, ...]:
    ranked = sorted(found.values(), key=lambda one: (-one.score, one.path, one.line))
    return tuple(ranked[:LIMIT])
