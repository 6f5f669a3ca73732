"""One source file, parsed once: where things stand, what holds them, how they are spelled.

Belongs here: positions, parents, definitions, indentation. Does not belong: types of values
(facts.py), what to take from where (ingredients.py), what to change (templates).
"""

import ast
import re
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import TypeVar, cast

from selfdrive_dagster.patches.syntax.definitions import FUNCTIONS, Class, Function, FunctionNode
from selfdrive_dagster.patches.syntax.walking import children, walk
from selfdrive_dagster.patches.text import Lines, Spanned

N = TypeVar("N", bound=ast.AST)
KEPT = 64
"""Walks over modules and functions that a caller keeps: each site of a function asks the same."""

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_INDENT = re.compile(r"[ \t\f]*")


def parse_quietly(text: str) -> ast.Module:
    """Parse a text; what Python would warn of (escapes, odd comparisons) is not our matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def parse_expression(text: str) -> ast.expr | None:
    """Parse one expression, None when it is none."""
    try:
        first = parse_quietly(f"({text})").body[0]
    except SyntaxError:
        return None
    return first.value if isinstance(first, ast.Expr) else None


class Module:
    """A parsed file; `name` is what an import statement says.

    Raises SyntaxError, ValueError or RecursionError when the text is not Python.
    """

    def __init__(self, path: str, text: str, name: str = "") -> None:
        self.path = path
        self.text = text
        self.name = name
        self.lines = Lines(text)
        self.tree = parse_quietly(text.removeprefix("\ufeff"))
        self.newline = "\r\n" if "\r\n" in text else "\n"

    # Nodes: who holds whom.

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Each node with the node that holds it, in the order of the text."""
        found: dict[ast.AST, ast.AST] = {}
        stack: list[ast.AST] = [self.tree]
        while stack:
            node = stack.pop()
            below = children(node)
            found.update(dict.fromkeys(below, node))
            stack += reversed(below)
        return found

    @cached_property
    def sealed(self) -> frozenset[ast.AST]:
        """The nodes of f-strings: before Python 3.12 their spans are wrong, so none is edited."""
        return frozenset(node for one in self.all(ast.JoinedStr) for node in walk(one))

    @cached_property
    def _by_kind(self) -> dict[type[ast.AST], list[ast.AST]]:
        kinds: dict[type[ast.AST], list[ast.AST]] = {}
        stack: list[ast.AST] = [self.tree]
        while stack:
            node = stack.pop()
            kinds.setdefault(type(node), []).append(node)
            stack += reversed(children(node))
        return kinds

    def all(self, kind: type[N]) -> Iterator[N]:
        """Yield all nodes of one class, in the order of the text."""
        for node in self._by_kind.get(kind, ()):
            yield cast(N, node)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield parent, grandparent and so on, the module last."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """Return the innermost function around a node."""
        return next((up for up in self.ancestors(node) if isinstance(up, FUNCTIONS)), None)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the innermost class around a node."""
        return next((up for up in self.ancestors(node) if isinstance(up, ast.ClassDef)), None)

    # Definitions, by name and by line.

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """Return all functions, outer before inner."""
        return tuple(self._functions(self.tree, "", None))

    @cached_property
    def classes(self) -> tuple[Class, ...]:
        """Return all classes that an import can reach."""
        return tuple(self._classes(self.tree, ""))

    def function(self, qualname: str) -> Function | None:
        """Return a function by its qualified name; the last definition wins, as in Python."""
        named = [one for one in self.functions if one.qualname == qualname]
        return named[-1] if named else None

    def function_at(self, line: int) -> Function | None:
        """Return the innermost function whose `def` or body covers a line."""
        inside = [one for one in self.functions if one.first_line <= line <= one.last_line]
        return max(inside, key=lambda one: one.first_line, default=None)

    def qualname(self, node: FunctionNode | None) -> str:
        """Return a function's name as `co_qualname` spells it, `""` for None."""
        return next((one.qualname for one in self.functions if one.node is node), "")

    def _functions(
        self, parent: ast.AST, prefix: str, owner: ast.ClassDef | None
    ) -> Iterator[Function]:
        for node in children(parent):
            if isinstance(node, FUNCTIONS):
                name = prefix + node.name
                yield Function(
                    path=self.path, module=self.name, qualname=name, node=node, owner=owner
                )
                yield from self._functions(node, f"{name}.<locals>.", None)
            elif isinstance(node, ast.ClassDef):
                yield from self._functions(node, f"{prefix}{node.name}.", node)
            else:
                yield from self._functions(node, prefix, owner)

    def _classes(self, parent: ast.AST, prefix: str) -> Iterator[Class]:
        for node in children(parent):
            if isinstance(node, ast.ClassDef):
                name = prefix + node.name
                yield Class(path=self.path, module=self.name, qualname=name, node=node)
                yield from self._classes(node, f"{name}.")
            elif isinstance(node, ast.If | ast.Try):
                yield from self._classes(node, prefix)

    # Text and statements.

    def source(self, node: Spanned) -> str:
        """Return the text of a node as it is written."""
        return self.text[self.lines.span(node)]

    def line(self, number: int) -> str:
        """Return a line's text without the spaces around it, "" outside the file."""
        return self.lines.line(number).strip() if 0 < number <= len(self.lines) else ""

    @cached_property
    def simple_statements(self) -> tuple[tuple[int, int], ...]:
        """Return first and last line of every statement that holds no block."""
        return tuple(
            (node.lineno, node.end_lineno or node.lineno)
            for node in walk(self.tree)
            if isinstance(node, ast.stmt) and not hasattr(node, "body")
        )

    def raises_at(self, line: int) -> bool:
        """Say whether a line belongs to a `raise` statement."""
        return any(
            isinstance(node, ast.Raise) and node.lineno <= line <= (node.end_lineno or node.lineno)
            for node in walk(self.tree)
        )

    @cached_property
    def local_names(self) -> frozenset[str]:
        """Names that some function of the file binds: elsewhere they mean nothing."""
        return frozenset(
            node.id
            for node in self.all(ast.Name)
            if isinstance(node.ctx, ast.Store)
            if self.function_of(node) is not None
        )

    @cached_property
    def _statements(self) -> dict[int, tuple[ast.stmt, ...]]:
        """Line → its innermost statements, for every line that has one."""
        owners: dict[int, list[ast.stmt]] = {}
        stack: list[ast.stmt] = list(reversed(self.tree.body))
        while stack:
            node = stack.pop()
            first = first_line(node)
            for line in range(first, (node.end_lineno or first) + 1):
                outer = [held for held in owners.get(line, []) if not _inside(node, held)]
                owners[line] = [*outer, node]
            stack += reversed(list(statements_in(node)))
        return {line: tuple(nodes) for line, nodes in owners.items()}

    def statements_at(self, line: int) -> tuple[ast.stmt, ...]:
        """Return the innermost statements of a line (several stand between semicolons)."""
        return self._statements.get(line, ())

    def block_of(self, statement: ast.stmt) -> list[ast.stmt]:
        """Return the list of statements that holds this one."""
        parent = self.parents[statement]
        blocks = [getattr(parent, name, []) for name in ("body", "orelse", "finalbody")]
        return next((block for block in blocks if statement in block), [statement])

    def indent(self, statement: ast.stmt) -> str | None:
        """Return the white space before a statement, None if other code precedes it."""
        line = first_line(statement)
        row = self.lines.line(line)
        held = _INDENT.match(row)
        space = held.group() if held else ""
        column = self.lines.span(statement).start - self.lines.starts[statement.lineno - 1]
        if line == statement.lineno and column != len(space):
            return None
        return space

    @cached_property
    def unit(self) -> str:
        """One step of indentation, as this file does it."""
        for function in self.functions:
            outer, inner = self.indent(function.node), self.indent(function.node.body[0])
            if (
                outer is not None
                and inner is not None
                and inner.startswith(outer)
                and inner != outer
            ):
                return inner.removeprefix(outer)
        return "    "


def first_line(statement: ast.stmt) -> int:
    """Return the first line of a statement, its decorators counted."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(node.lineno for node in decorators)])


def statements_in(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements directly inside the blocks of a compound statement."""
    for name in _BLOCKS:
        for child in getattr(node, name, ()) or ():
            if isinstance(child, ast.stmt):
                yield child
            elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
                yield from child.body


def _inside(inner: ast.stmt, outer: ast.stmt) -> bool:
    start = (first_line(inner), inner.col_offset)
    return (first_line(outer), outer.col_offset) <= start and (
        (inner.end_lineno or 0, inner.end_col_offset or 0)
        <= (outer.end_lineno or 0, outer.end_col_offset or 0)
    )


def header_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement itself, the statements in its blocks left out."""
    stack: list[ast.AST] = [
        child
        for name, value in ast.iter_fields(statement)
        if name not in _BLOCKS
        for child in (value if isinstance(value, list) else [value])
        if isinstance(child, ast.AST)
    ]
    while stack:
        node = stack.pop()
        yield node
        stack += children(node)
