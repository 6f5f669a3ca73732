"""Which parameters a function has given new values by the time a line runs.

A trace shows values as they were at the raise. A parameter that was assigned before that is
no longer the argument that went in.
"""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.syntax import FunctionNode, children, walk

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def rebound_before(function: FunctionNode, line: int) -> set[str]:
    """Return the names that may have been bound again when `line` runs.

    The statement on the line itself does not count, unless a loop may have run it before.
    """
    return set(_bound(function.body, line, in_loop=False))


def _bound(statements: list[ast.stmt], line: int, *, in_loop: bool) -> Iterator[str]:
    for statement in statements:
        last = statement.end_lineno or statement.lineno
        around = statement.lineno <= line <= last
        looping = in_loop or (around and isinstance(statement, _LOOPS))
        if last < line or looping or around:
            yield from _own(statement, line, looping or last < line)
            for block in _blocks(statement):
                yield from _bound(block, line, in_loop=looping)


def _own(statement: ast.stmt, line: int, ran: bool) -> Iterator[str]:
    """Yield what a statement binds outside of its blocks; its own line counts only if it `ran`."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    begins = statement.lineno < line
    if not ran and not (begins and list(_blocks(statement))):
        return
    for node in _shallow(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(statement, name, None)
        if isinstance(block, list) and not isinstance(statement, _INNER):
            yield block
    for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
        yield part.body


def _shallow(statement: ast.stmt) -> Iterator[ast.AST]:
    """Walk a statement without the statements inside it and without inner scopes."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _COMPREHENSIONS):
            # their own names stay inside; `:=` alone binds in the function
            yield from (n.target for n in walk(node) if isinstance(n, ast.NamedExpr))
            continue
        yield node
        for child in children(node):
            if not isinstance(child, (ast.stmt, *_INNER)):
                waiting.append(child)
