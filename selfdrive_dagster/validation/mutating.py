"""Do the tests look at what a patch says? Small changes of its own lines, tried like candidates.

A test that passes whatever a line says tells nothing of it. So the patched lines are changed once
more, one operator, constant or answer at a time (mutation analysis), and the failing tests and
those that reach the file run on each. One that survives lowers the confidence. A mutant that is
the base again, or behaves as the patch does, is no news: the first is left out, the second cannot
be told apart, which makes the figure a lower bound.

Belongs here: mutants and counting. Does not belong: what survivors mean (`confidence`).
"""

import ast
import copy
from collections.abc import Callable, Iterator

import msgspec

from selfdrive_dagster.model import Candidate, Product, Reproducer, Sandbox
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.patches.trying import try_wave
from selfdrive_dagster.patches.waves import Wave

MOST = 6
SECONDS = 20.0
TRIED = ("killed", "hung", "died", "plausible")


class Noticed(msgspec.Struct, frozen=True, kw_only=True):
    """How many mutants were tried, and how many of them a test noticed."""

    made: int
    killed: int


def notice(
    candidate: Candidate,
    patched: str,
    reproducer: Reproducer,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
) -> Noticed:
    """Try mutants of one candidate's lines; `patched` is its file's whole new text."""
    before = product.read(candidate.path)
    drafts = tuple(_draft(candidate, before, text) for text in mutants(before, patched))
    if not drafts:
        return Noticed(made=0, killed=0)
    told = try_wave(Wave(drafts, 0), reproducer, base, product, sandbox, SECONDS)
    tried = [outcome for _, outcome in told.answers if outcome in TRIED]
    return Noticed(made=len(tried), killed=sum(outcome != "plausible" for outcome in tried))


def _draft(candidate: Candidate, before: str, text: str) -> Draft:
    return Draft(
        family="mutant",
        kind="replace",
        path=candidate.path,
        line=candidate.line,
        function=candidate.function,
        patch=render_diff(candidate.path, before, text),
        source=text,
        invented="",
        tokens=1,
    )


def mutants(before: str, patched: str) -> tuple[str, ...]:
    """Return up to MOST texts, each `patched` with one node of a new line changed.

    They are spread over the changed nodes; a text that equals `before` in syntax is left out.
    """
    try:
        tree, known = ast.parse(patched), {ast.dump(ast.parse(before))}
    except SyntaxError:
        return ()
    known.add(ast.dump(tree))
    made: list[str] = []
    for old, new in _changes(tree, _new_lines(before, patched)):
        text = _put(patched, old, new)
        try:
            dumped = ast.dump(ast.parse(text))
        except SyntaxError:
            continue
        if dumped not in known:
            known.add(dumped)
            made.append(text)
    step = max(1, -(-len(made) // MOST))
    return tuple(made[::step])


def _new_lines(before: str, patched: str) -> frozenset[int]:
    """Return the numbers of the lines that only the patched text has, from 1."""
    old, new = before.splitlines(), patched.splitlines()
    first = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
    rest = list(zip(reversed(old[first:]), reversed(new[first:]), strict=False))
    tail = next((n for n, (a, b) in enumerate(rest) if a != b), len(rest))
    return frozenset(range(first + 1, len(new) - tail + 1))


def _changes(tree: ast.AST, lines: frozenset[int]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield nodes of these lines, each with another in its place."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.JoinedStr, ast.Assert)):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.expr) and node.lineno in lines and node.end_lineno in lines:
            for kind, change in CHANGES:
                if isinstance(node, kind):
                    new = change(copy.deepcopy(node))
                    if new is not None:
                        yield node, new
        if isinstance(node, (ast.If, ast.While, ast.IfExp)) and node.test.lineno in lines:
            yield node.test, ast.UnaryOp(ast.Not(), node.test)


COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def _compare(node: ast.expr) -> ast.expr | None:
    assert isinstance(node, ast.Compare)
    node.ops[0] = COMPARED[type(node.ops[0])]()
    return node


def _count(node: ast.expr) -> ast.expr | None:
    assert isinstance(node, ast.BinOp)
    other = COUNTED.get(type(node.op))
    if other is None:
        return None
    node.op = other()
    return node


def _join(node: ast.expr) -> ast.expr | None:
    assert isinstance(node, ast.BoolOp)
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return node


def _constant(node: ast.expr) -> ast.expr | None:
    assert isinstance(node, ast.Constant)
    if isinstance(node.value, bool):
        return ast.Constant(not node.value)
    if isinstance(node.value, (int, float)):
        return ast.Constant(node.value + 1)
    return ast.Constant(node.value + "x") if isinstance(node.value, str) else None


def _call(node: ast.expr) -> ast.expr | None:
    """Leave a call's first argument in its place."""
    assert isinstance(node, ast.Call)
    first = node.args[0] if node.args else None
    return None if isinstance(first, ast.Starred) else first


CHANGES: tuple[tuple[type[ast.expr], Callable[[ast.expr], ast.expr | None]], ...] = (
    (ast.Compare, _compare),
    (ast.BinOp, _count),
    (ast.BoolOp, _join),
    (ast.Constant, _constant),
    (ast.Call, _call),
)


def _put(text: str, old: ast.expr, new: ast.expr) -> str:
    """Put a new expression in brackets where an old one stands; columns count UTF-8 bytes."""
    lines = text.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    begin = starts[old.lineno - 1] + old.col_offset
    end = starts[(old.end_lineno or old.lineno) - 1] + (old.end_col_offset or 0)
    whole = b"".join(lines)
    spelled = f"({ast.unparse(ast.fix_missing_locations(new))})"
    return (whole[:begin] + spelled.encode() + whole[end:]).decode()
