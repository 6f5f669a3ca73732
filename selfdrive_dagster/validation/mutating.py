"""Mutants of a patch's own lines: what the tests would not notice there, they do not prove either.

Each mutant is one small change of a line that the patch brought in. The reproducer and the tests
that reach the file run on it; a mutant that none of them notices lowers the confidence. This is
mutation analysis (DeMillo, Lipton and Sayward, 1978) of a dozen lines, not of a project.

Belongs here: drawing mutants and counting which died. Does not belong: what the share is worth
(`confidence`).
"""

import ast
from collections.abc import Iterable, Iterator

import msgspec

from selfdrive_dagster.model import Job
from selfdrive_dagster.validation.checks import (
    Case,
    Overlay,
    changed_lines,
    reproducer_overlay,
)

MOST = 24
REACHING = 30
SECONDS = 60.0
DEADLINE_SECONDS, CPU_SECONDS = 2.0, 0.5

SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,),
    ast.Or: (ast.And,), ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Div,), ast.Mod: (ast.FloorDiv,),
    ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,),
}  # fmt: skip
"""Operators and what each becomes."""


class Score(msgspec.Struct, frozen=True):
    """How many mutants were noticed, of how many."""

    noticed: int
    drawn: int

    @property
    def share(self) -> float:
        """The share that was noticed, by Laplace's rule: 0.5 where none could be drawn."""
        return (self.noticed + 1) / (self.drawn + 2)


def score(path: str, overlay: Overlay, case: Case) -> Score:
    """Let the tests that reach a patched file judge mutants of the lines that are new in it."""
    new = overlay.get(path) or ""
    drawn = list(mutants(new, changed_lines(case.product.read(path), new)))[:MOST]
    if not drawn:
        return Score(0, 0)
    ran = case.sandbox.run(_job(path, drawn, overlay, case))
    told = [line for line in ran.lines if line.get("kind") == "trial"]
    return Score(sum(line["outcome"] != "plausible" for line in told), len(told))


def mutants(text: str, lines: Iterable[int]) -> Iterator[str]:
    """Yield whole texts with one small change in one of these lines, in the order of the text."""
    wanted, seen = set(lines), {ast.dump(ast.parse(text))}
    for node in ast.walk(ast.parse(text)):
        if getattr(node, "lineno", 0) in wanted and isinstance(node, (ast.expr, ast.stmt)):
            for made in _changed(node):
                mutant = _spliced(text, node, made)
                dumped = _dumped(mutant)
                if dumped and dumped not in seen:
                    seen.add(dumped)
                    yield mutant


def _changed(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Compare(ops=[op]) | ast.BoolOp(op=op) | ast.BinOp(op=op):
            for other in SWAPS.get(type(op), ()):
                yield _with_operator(node, other)
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value)):
            yield from (str(value + 1), f"({value - 1})")
        case ast.Constant(value=str(value)) if value:
            yield "''"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.Return(value=ast.expr()):
            yield "return None"
        case ast.Assign() | ast.AugAssign() | ast.Expr():
            yield "pass"
        case ast.Call(args=[only], keywords=[]):
            yield f"({ast.unparse(only)})"
    if isinstance(node, ast.expr) and _is_test(node):
        yield f"(not ({ast.unparse(node)}))"


def _is_test(node: ast.expr) -> bool:
    return isinstance(node, (ast.Compare, ast.BoolOp)) or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ASKING
    )


ASKING = ("isinstance", "hasattr", "callable", "any", "all")


def _with_operator(node: ast.AST, other: type[ast.AST]) -> str:
    text = ast.unparse(node)
    copy = ast.parse(text, mode="eval").body
    if isinstance(copy, ast.Compare):
        copy.ops = [other()]  # type: ignore[list-item]
    elif isinstance(copy, (ast.BoolOp, ast.BinOp)):
        copy.op = other()  # type: ignore[assignment]
    return f"({ast.unparse(copy)})"


def _spliced(text: str, node: ast.expr | ast.stmt, made: str) -> str:
    """Put new text in the place of a node; its columns count bytes."""
    lines = text.encode().splitlines(keepends=True)
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    head = b"".join(lines[:first]) + lines[first][: node.col_offset]
    tail = lines[last][node.end_col_offset or 0 :] + b"".join(lines[last + 1 :])
    return (head + made.encode() + tail).decode()


def _dumped(text: str) -> str:
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:
        return ""


def _job(path: str, drawn: list[str], overlay: Overlay, case: Case) -> Job:
    own = case.reproducer.node_ids
    passing = [i for i in case.base.with_outcome("passed") if path in case.base.lines.get(i, {})]
    passing.sort(key=lambda node_id: case.base.tests[node_id].seconds)
    suite = [node_id for node_id in passing if node_id not in own][:REACHING]
    return Job(
        program="trial",
        tree=case.product.root,
        python=case.product.python,
        import_roots=case.product.import_roots(),
        overlay={**overlay, **reproducer_overlay(case.reproducer)},
        seconds=SECONDS,
        spec={
            "candidates": [
                {"id": str(number), "path": path, "source": text}
                for number, text in enumerate(drawn)
            ],
            "targets": list(own),
            "suite": suite,
            "args": list(case.product.tests),
            "deadline_seconds": DEADLINE_SECONDS,
            "cpu_seconds": dict.fromkeys((*own, *suite), CPU_SECONDS),
            "stop_after": 0,
        },
    )
