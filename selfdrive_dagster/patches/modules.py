"""One source file, parsed once: where things stand, what holds them, how they are spelled.

Belongs here: positions, parents, indentation, precedence. Does not belong: types of values
(facts.py), what to take from where (ingredients.py), what to change (templates).
"""

import ast
import re
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import TypeVar, cast

from selfdrive_dagster.patches.text import Lines, Spanned

N = TypeVar("N", bound=ast.AST)
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
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
    """A parsed file. Raises SyntaxError or ValueError when the text is not Python."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.lines = Lines(text)
        self.tree = parse_quietly(text.removeprefix("\ufeff"))
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.parents: dict[ast.AST, ast.AST] = {}
        self.sealed: set[ast.AST] = set()
        self._by_kind: dict[type[ast.AST], list[ast.AST]] = {}
        self._adopt(self.tree, sealed=False)

    def _adopt(self, node: ast.AST, *, sealed: bool) -> None:
        # Before Python 3.12 the spans inside f-strings are wrong: nothing in them is edited.
        for child in ast.iter_child_nodes(node):
            self.parents[child] = node
            self._by_kind.setdefault(type(child), []).append(child)
            within = sealed or isinstance(child, ast.JoinedStr)
            if within:
                self.sealed.add(child)
            self._adopt(child, sealed=within)

    def all(self, kind: type[N]) -> Iterator[N]:
        """Yield all nodes of one class, in the order of the text."""
        for node in self._by_kind.get(kind, ()):
            yield cast(N, node)

    def source(self, node: Spanned) -> str:
        """Return the text of a node as it is written."""
        return self.text[self.lines.span(node)]

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield parent, grandparent and so on, the module last."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function_of(self, node: ast.AST) -> Function | None:
        """Return the innermost function around a node."""
        return next((up for up in self.ancestors(node) if isinstance(up, FUNCTIONS)), None)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the innermost class around a node."""
        return next((up for up in self.ancestors(node) if isinstance(up, ast.ClassDef)), None)

    def qualified(self, node: ast.AST | None) -> str:
        """Return the dotted name of a function or class, without `<locals>`; `""` for None."""
        if node is None:
            return ""
        named = (ast.ClassDef, *FUNCTIONS)
        chain = [up for up in (node, *self.ancestors(node)) if isinstance(up, named)]
        return ".".join(up.name for up in reversed(chain))

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """All functions of the file in order, nested ones too."""
        found: list[Function] = [*self.all(ast.FunctionDef), *self.all(ast.AsyncFunctionDef)]
        return tuple(sorted(found, key=lambda node: node.lineno))

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
            outer, inner = self.indent(function), self.indent(function.body[0])
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
        stack += list(ast.iter_child_nodes(node))


# Binding strength, from the grammar: an expression must bind at least as tightly as its
# place demands, else it gets parentheses.
_ATOM = 16
_BINARY: dict[type[ast.AST], int] = {
    ast.Or: 3, ast.And: 4, ast.BitOr: 7, ast.BitXor: 8, ast.BitAnd: 9,
    ast.LShift: 10, ast.RShift: 10, ast.Add: 11, ast.Sub: 11,
    ast.Mult: 12, ast.MatMult: 12, ast.Div: 12, ast.FloorDiv: 12, ast.Mod: 12, ast.Pow: 14,
}  # fmt: skip
_OTHERS: dict[type[ast.AST], int] = {
    ast.Tuple: 0, ast.Yield: 0, ast.YieldFrom: 0, ast.NamedExpr: 1, ast.Starred: 1,
    ast.Lambda: 2, ast.IfExp: 2, ast.Compare: 6, ast.Await: 15, ast.GeneratorExp: 1,
}  # fmt: skip


def binding(node: ast.expr) -> int:
    """Return how tightly an expression binds, 0 (tuple) to 16 (atom)."""
    if isinstance(node, (ast.BoolOp, ast.BinOp)):
        return _BINARY[type(node.op)]
    if isinstance(node, ast.UnaryOp):
        return 5 if isinstance(node.op, ast.Not) else 13
    return _OTHERS.get(type(node), _ATOM)


def demanded(parent: ast.AST, child: ast.AST) -> int:
    """Return how tightly an expression in this place must bind to need no parentheses."""
    if isinstance(parent, ast.BoolOp):
        return _BINARY[type(parent.op)] + 1
    if isinstance(parent, ast.BinOp):
        strength = _BINARY[type(parent.op)]
        tight_right = isinstance(parent.op, ast.Pow) == (child is parent.left)
        return strength + (1 if tight_right else 0)
    if isinstance(parent, ast.UnaryOp):
        return 5 if isinstance(parent.op, ast.Not) else 13
    if isinstance(parent, ast.IfExp):
        return 2 if child is parent.orelse else 3
    if isinstance(parent, (ast.Assign, ast.Return, ast.Expr)):
        return 0
    if child is getattr(parent, "value" if isinstance(parent, ast.Subscript) else "func", None):
        return _ATOM
    return _DEMANDS.get(type(parent), 1)


_DEMANDS: dict[type[ast.AST], int] = {
    ast.Compare: 7, ast.Attribute: _ATOM, ast.Call: 2, ast.Subscript: 2, ast.Starred: 7,
    ast.comprehension: 3, ast.Await: _ATOM, ast.keyword: 2, ast.Slice: 2, ast.Tuple: 2,
    ast.List: 2, ast.Dict: 3, ast.Set: 2, ast.AugAssign: 1, ast.Lambda: 2,
}  # fmt: skip
