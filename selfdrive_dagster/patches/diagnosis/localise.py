"""Where the fault may be: lines with a suspicion in (0, 1], highest first.

A line's suspicion is Ochiai's coefficient, `ef / sqrt(total_failed * (ef + ep))`, where `ef`
and `ep` are the failing and passing tests that ran it (Abreu et al., "On the Accuracy of
Spectrum-based Fault Localization", 2007). With a trace it is weighted by 1/depth, counted
from the innermost function; a function that called itself counts once. Without passing tests the
trace alone speaks: nothing is ever divided by the number of passes. Lines of a decorator run when
a module is imported, in no test's name: they take a share of what they decorate. Lines that the
suspect commit did not write weigh less.

Belongs here: coverage and suspicion. Does not belong: running tests, editing lines.
"""

import ast
import math
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from selfdrive_dagster.model import FrameFinding, Suspicion
from selfdrive_dagster.model.product import is_test_path
from selfdrive_dagster.patches.suite import Lines, SuiteRun, TestResult
from selfdrive_dagster.patches.syntax import Function, Module, Tree, last_name, walk

NEIGHBOUR = 0.5
"""What another line of a crashing function weighs, against the line that raised."""

LATER = 0.2
"""What a line below the raise weighs: it ran only if a loop came back."""

RENDERING = 0.1
"""What a line of `__repr__` and its like weighs: a failing assertion renders its operands, so
these lines run because the test failed and not the other way round."""

DECORATING = 0.4
"""What the lines of a decorator weigh, against the most suspect line of what they decorate."""

BESIDE = 0.8
"""What a line weighs of a function that an exception went through, against the line it was at."""

OFF_STACK = 0.5
"""What a line weighs that a failing test ran, but that was not on the stack when it was stopped
or raised."""

OLDER = 0.7
"""What a line weighs that others wrote before the suspect commit."""

RENDERERS = ("__repr__", "__str__", "__format__")

MOST_HANGS = 3
"""So many hanging tests end the watching of lines (`harness/suite.py`)."""

HUNG, WENT = "a test hung in", "the exception went through"
"""Why a line stands on a stack: a loop may be stopped at any of its lines."""

COUNTED = ("passed", "failed", "error")
LIMIT = 200
MOST_BLAMED = 30

Line = tuple[str, int]


class TestLines(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the product's suite: how it ended and the product's lines it ran.

    `stack` holds the lines an exception went through, innermost last; `raised` is its class and
    `message` its words where it came out of the product's code, "" where the test itself raised.
    """

    __test__ = False  # pytest must not collect it

    node_id: str
    failed: bool
    lines: frozenset[Line]
    stack: tuple[Line, ...] = ()
    raised: str = ""
    message: str = ""
    hung: bool = False
    watched: bool = True


Coverage = tuple[TestLines, ...]


def coverage_of(run: SuiteRun) -> Coverage:
    """Read a run of the suite with lines; skipped tests are left out.

    Once MOST_HANGS tests hung no lines are watched: the rest counts as failing, since a test
    whose lines nobody knows must not speak for any of them.
    """
    ran = {i: test for i, test in run.tests.items() if test.outcome in COUNTED}
    hung = {i for i, test in ran.items() if test.hung}
    watched = tuple(
        _watched(node_id, ran[node_id], files)
        for node_id, files in run.lines.items()
        if node_id in ran
    )
    unwatched = [i for i in ran if i not in run.lines] if len(hung) >= MOST_HANGS else []
    rest = (
        TestLines(node_id=i, failed=True, lines=frozenset(), hung=i in hung, watched=False)
        for i in unwatched
    )
    return (*watched, *rest)


def _watched(node_id: str, test: TestResult, files: Lines) -> TestLines:
    stack = tuple((one.path, one.line) for one in test.frames)
    inside = [path for path, _ in stack if not path.startswith(("/", ".."))]
    ours = bool(inside) and not is_test_path(inside[-1]) and not test.hung
    return TestLines(
        node_id=node_id,
        failed=test.outcome != "passed",
        lines=frozenset((path, line) for path, lines in files.items() for line in lines),
        stack=stack,
        raised=test.exception_type if ours else "",
        message=test.message if ours else "",
        hung=test.hung,
    )


def raised_by(coverage: Coverage) -> tuple[str, str]:
    """Return the class and words of the exception that all failing tests end with, "" if none.

    What the product raises tells what is wrong with it; what a test raises tells only that.
    """
    found = {(test.raised, test.message) for test in coverage if test.failed}
    kinds = {raised for raised, _ in found}
    if len(kinds) != 1:
        return "", ""
    return min(found)


def unwatched_note(coverage: Coverage) -> str:
    """Say how many tests ran unwatched since others hung; "" when none did."""
    count = sum(not test.watched for test in coverage)
    if not count:
        return ""
    return f"{MOST_HANGS} tests hung, so nobody watched the lines of the other {count}."


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
    for frame, depth, again in _functions(frames):
        module = tree.module(frame.path)
        function = module.function(frame.function) if module else None
        for line, share, why in _lines_of(module, function, frame, depth):
            passed = passes[frame.path, line]
            score = share / depth * ochiai(1, passed, 1)
            if again:
                why = f"{why}; {last_name(frame.function)} called itself {again} times"
            if coverage:
                why = f"{why}; {passed} passing test{'s' * (passed != 1)} ran it"
            _keep(found, frame.path, line, frame.function, score, why)
    _add_decorators(tree, found)
    return _ranked(found)


def _functions(frames: tuple[FrameFinding, ...]) -> Iterator[tuple[FrameFinding, int, int]]:
    """Yield frames with the depth of their function, and how often it was on the stack besides.

    A recursion fills a trace with one function: its callers are as near as if it had called
    itself never, and all functions of the circle are equally near.
    """
    times = Counter((frame.path, frame.function) for frame in frames)
    depths: dict[tuple[str, str], int] = {}
    circle: int | None = None
    for frame in frames:
        key = (frame.path, frame.function)
        if key not in depths:
            recursive = times[key] > 1
            nearest = len(set(depths.values())) + 1
            depths[key] = circle if recursive and circle else nearest
            circle = depths[key] if recursive else circle
        yield frame, depths[key], times[key] - 1


def weigh_commit(
    suspicions: tuple[Suspicion, ...], written_by: Callable[[str, int], str], suspect: str
) -> tuple[Suspicion, ...]:
    """Return suspicions with lines of the suspect commit before others that score alike.

    `written_by` returns the commit that last wrote a line, "" if nobody knows; it is asked about
    the MOST_BLAMED likeliest only. `suspect` is the id of the commit.
    """
    first = [
        _by_commit(one, written_by(one.path, one.line), suspect) for one in suspicions[:MOST_BLAMED]
    ]
    rest = [
        msgspec.structs.replace(one, score=round(one.score * OLDER, 6))
        for one in suspicions[MOST_BLAMED:]
    ]
    return _ranked({(one.path, one.line): one for one in [*first, *rest]})


def _by_commit(one: Suspicion, sha: str, suspect: str) -> Suspicion:
    if sha == suspect:
        return msgspec.structs.replace(one, why=f"{one.why}; the suspect commit wrote it")
    return msgspec.structs.replace(one, score=round(one.score * OLDER, 6))


def from_tests(tree: Tree, coverage: Coverage) -> tuple[Suspicion, ...]:
    """Return suspicions from failing and passing tests alone."""
    failed = Counter(line for test in coverage if test.failed for line in test.lines)
    passed = Counter(line for test in coverage if not test.failed for line in test.lines)
    total = sum(test.failed for test in coverage)
    own = {path for test in coverage for path, _ in test.lines}
    stacked = {path: lines for path, lines in _stacked(coverage).items() if path in own}
    found: dict[Line, Suspicion] = {}
    for (path, line), times in failed.items():
        module = tree.module(path)
        function = module.function_at(line) if module else None
        if function is None or line == function.first_line:
            continue
        why = f"{times} of {total} failing and {passed[path, line]} passing tests ran it"
        weight, more = _on_stack(stacked, (path, line), function)
        weight *= RENDERING if function.name in RENDERERS else 1.0
        score = weight * ochiai(times, passed[path, line], total)
        _keep(found, path, line, function.qualname, score, why + more)
    _add_decorators(tree, found)
    return _ranked(found)


def _stacked(coverage: Coverage) -> dict[str, dict[int, str]]:
    """Return the lines on the stacks of failing tests by file, and why they stood there."""
    found: dict[str, dict[int, str]] = {}
    for test in coverage:
        for path, line in test.stack if test.failed else ():
            how = HUNG if test.hung else WENT
            found.setdefault(path, {})[line] = how
    return found


def _on_stack(
    stacked: dict[str, dict[int, str]], place: Line, function: Function
) -> tuple[float, str]:
    """Return a line's weight by the stacks of failing tests, and the reason to tell.

    Stacks that hold nothing of the product say nothing: a test asserted by itself.
    """
    if not stacked:
        return 1.0, ""
    body = range(function.first_line, function.last_line + 1)
    there = {line: how for line, how in stacked.get(place[0], {}).items() if line in body}
    if not there:
        return OFF_STACK, ""
    how = there.get(place[1], next(iter(there.values())))
    at_it = place[1] in there or how == HUNG
    return 1.0 if at_it else BESIDE, f"; {how} {function.name}"


def _lines_of(
    module: Module | None, function: Function | None, frame: FrameFinding, depth: int
) -> list[tuple[int, float, str]]:
    out = f"{depth - 1} function{'s' * (depth != 2)} out" if depth > 1 else "by itself"
    place = "raised here" if frame.depth == 1 else f"called from here, {out}"
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
        node.lineno for statement in start for node in walk(statement) if isinstance(node, ast.stmt)
    }


def _add_decorators(tree: Tree, found: dict[Line, Suspicion]) -> None:
    """Suspect the lines of decorators with what they decorate."""
    best: dict[tuple[str, str], Suspicion] = {}
    for one in found.values():
        key = (one.path, one.function)
        best[key] = max(best.get(key, one), one, key=lambda each: each.score)
    for (path, name), one in best.items():
        module = tree.module(path)
        function = module.function(name) if module else None
        for node in function.node.decorator_list if function else ():
            why = f"decorates {last_name(name)}, and runs when the module is imported"
            _keep(found, path, node.lineno, name, DECORATING * one.score, why)


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
