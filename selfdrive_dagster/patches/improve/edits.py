"""A spot that could be faster, and a rewrite of it: edits by exact spans.

Belongs here: the records that the templates share, and placing a line. Does not belong: what to
rewrite (`sets`, `hoist`, `cache`).
"""

import ast

import msgspec

from selfdrive_dagster.patches.improve.purity import Purity
from selfdrive_dagster.patches.improve.scope import Scope
from selfdrive_dagster.patches.syntax import Function, Module
from selfdrive_dagster.patches.text import Edit, Spanned


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A hot function, read: where it stands and what can be asked about it."""

    module: Module
    function: Function
    scope: Scope
    purity: Purity

    def replaced(self, node: Spanned, text: str) -> Edit:
        """Return the edit that puts a text in a node's place."""
        span = self.module.lines.span(node)
        return Edit(span.start, span.stop, text)


class Rewrite(msgspec.Struct, frozen=True, kw_only=True):
    """What a template would do. `keys`, `elements`: see `records.Target`."""

    family: str
    edits: tuple[Edit, ...]
    line: int
    says: str
    assumes: tuple[str, ...]
    keys: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    deterministic: bool = False


def in_front(spot: Spot, statement: ast.stmt, line: str) -> Edit | None:
    """Return the edit that puts a line in front of a statement, None where none can stand."""
    indent = spot.module.indent(statement)
    if indent is None or "\n" in line:
        return None
    at = spot.module.lines.starts[statement.lineno - 1]
    if isinstance(spot.module.parents[statement], ast.If) and _is_elif(spot, statement):
        return None
    return Edit(at, at, f"{indent}{line}{spot.module.newline}")


def _is_elif(spot: Spot, statement: ast.stmt) -> bool:
    return spot.module.line(statement.lineno).startswith("elif")


def fresh_name(spot: Spot, wanted: str) -> str:
    """Return a name that the module does not use yet."""
    taken = {one.id for one in spot.module.all(ast.Name)} | set(spot.scope.parameters)
    taken |= {one.arg for one in spot.module.all(ast.arg)}
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name
