"""A place to edit and the pen to edit it with: what every family is given.

A `Site` is one statement that diagnosis suspects, with all that is known there. Families
yield `Rewrite`s; the site spells them so that they are the smallest text change and parse
(parentheses, indentation, line ends). Does not belong here: deciding what to change.
"""

import ast
import re
from collections.abc import Iterator
from functools import cached_property
from typing import TypeVar, overload

import msgspec

from selfdrive_dagster.patches.facts import Facts, infer
from selfdrive_dagster.patches.ingredients import Repository, names_in_scope
from selfdrive_dagster.patches.syntax import (
    FunctionNode,
    Module,
    binding,
    demanded,
    first_line,
    header_nodes,
    parse_expression,
    walk,
)
from selfdrive_dagster.patches.text import Edit, Spanned

A = TypeVar("A", bound=ast.AST)
B = TypeVar("B", bound=ast.AST)
C = TypeVar("C", bound=ast.AST)
D = TypeVar("D", bound=ast.AST)
SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Raise, ast.Delete)


class Rewrite(msgspec.Struct, frozen=True):
    """One way to change a file: its edits, what it makes up, its cost and its kind.

    `invented` is a plain sentence without a subject ("returns None where it raised").
    `cost` is 1 for an ordinary candidate, more for one to be tried later in its family.
    """

    edits: tuple[Edit, ...]
    invented: str
    cost: float = 1.0
    kind: str = "replace"


class Site:
    """One suspected statement, its function, and what is known there."""

    def __init__(
        self, module: Module, statement: ast.stmt, line: int, facts: Facts, repository: Repository
    ) -> None:
        self.module = module
        self.statement = statement
        self.line = line
        self.facts = facts
        self.repository = repository
        self.function: FunctionNode | None = module.function_of(statement)

    @property
    def exception(self) -> str:
        """The class name of the crash's exception, `""` in the failing-test track."""
        return self.facts.exception

    @property
    def fails(self) -> str:
        """How to name the failure in a sentence."""
        return f"raised {self.exception}" if self.exception else "gave a wrong result"

    @cached_property
    def _nodes(self) -> tuple[ast.AST, ...]:
        editable = [
            node
            for node in header_nodes(self.statement)
            if node not in self.module.sealed and hasattr(node, "lineno")
        ]
        return tuple(sorted(editable, key=self._distance))

    def _distance(self, node: ast.AST) -> tuple[bool, int, int, int]:
        position: tuple[int, int, int] = (node.lineno, node.col_offset, -node.end_col_offset)  # type: ignore[attr-defined]
        return position[0] != self.line, *position

    @overload
    def nodes(self, a: type[A], /) -> Iterator[A]: ...
    @overload
    def nodes(self, a: type[A], b: type[B], /) -> Iterator[A | B]: ...
    @overload
    def nodes(self, a: type[A], b: type[B], c: type[C], /) -> Iterator[A | B | C]: ...
    @overload
    def nodes(
        self, a: type[A], b: type[B], c: type[C], d: type[D], /
    ) -> Iterator[A | B | C | D]: ...
    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """Yield this statement's own nodes of these classes, those on the suspected line first.

        The statements in its blocks and the insides of f-strings are left out.
        """
        return (node for node in self._nodes if isinstance(node, kinds))

    def loads(self) -> Iterator[ast.expr]:
        """Yield the expressions that are read (not assigned to) in this statement."""
        for node in self.nodes(ast.expr):
            if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                yield node

    def text(self, node: Spanned) -> str:
        """Return the source of a node."""
        return self.module.source(node)

    def type_of(self, node: ast.AST) -> str:
        """Return the type name of an expression, `""` when unknown."""
        return self.facts.type_of(node)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names that may be read here, nearest first; `self` and `cls` left out."""
        found = names_in_scope(self.module, self.function, self.line)
        return tuple(name for name in found if name not in ("self", "cls", "_"))

    @cached_property
    def fixed(self) -> frozenset[str]:
        """Names of the file's imports, functions and classes: they are never None or empty."""
        found = {node.name for node in self.module.functions}
        found |= {node.name for node in self.module.all(ast.ClassDef)}
        aliases = self.module.all(ast.alias)
        found |= {(alias.asname or alias.name).partition(".")[0] for alias in aliases}
        return frozenset(found - set(self.names))

    def fitting(self, node: ast.expr) -> Iterator[str]:
        """Yield names in scope whose type may stand where `node` stands."""
        wanted = self.type_of(node)
        for name in self.names:
            kind = self.facts.types.get(name, "")
            if not wanted or not kind or kind == wanted or {kind, wanted} == {"int", "float"}:
                yield name

    # The pen.

    def replace(
        self, node: ast.expr, new: str, invented: str, *, cost: float = 1.0, kind: str = "replace"
    ) -> Rewrite:
        """Put another expression in a node's place, in parentheses where it needs them."""
        span = self.module.lines.span(node)
        text = self.fit(node, new)
        return Rewrite((Edit(span.start, span.stop, text),), invented, cost, kind)

    def fit(self, node: ast.expr, new: str) -> str:
        """Return `new`, in parentheses when the place of `node` demands them."""
        span, text = self.module.lines.span(node), self.module.text
        if text[span.start - 1 : span.start] == "(" and text[span.stop : span.stop + 1] == ")":
            return new
        made = parse_expression(new)
        if made is None:
            return new
        parent = self.module.parents[node]
        operators = [type(n.op) for n in (made, parent) if isinstance(n, ast.BoolOp)]
        if len(operators) == 2 and len(set(operators)) == 1:
            return new  # `a and b and c` says as much as `a and (b and c)`
        enclosed = isinstance(made, (ast.Tuple, ast.GeneratorExp)) and made.col_offset == 1
        weak = not enclosed and binding(made) < demanded(parent, node)
        return f"({new})" if weak or "\n" in new else new

    def operand(self, node: ast.expr, strength: int) -> str:
        """Return a node's source, in parentheses unless it binds at least this tightly."""
        text = self.text(node)
        return text if binding(node) >= strength and "\n" not in text else f"({text})"

    def swap_text(
        self, start: int, end: int, new: str, invented: str, cost: float = 1.0
    ) -> Rewrite:
        """Replace a raw span, for operators and keywords that are no nodes."""
        return Rewrite((Edit(start, end, new),), invented, cost)

    def exchange(self, left: ast.expr, right: ast.expr, invented: str) -> Rewrite:
        """Swap the sources of two nodes."""
        one, two = self.module.lines.span(left), self.module.lines.span(right)
        edits = (
            Edit(one.start, one.stop, self.fit(left, self.text(right))),
            Edit(two.start, two.stop, self.fit(right, self.text(left))),
        )
        return Rewrite(edits, invented)

    def before(
        self, statement: ast.stmt, lines: list[str], invented: str, *, cost: float = 1.0
    ) -> Rewrite | None:
        """Insert lines before a statement; `>` at a line's start stands for one indent.

        None when the statement shares its line with other code.
        """
        space = self.module.indent(statement)
        if space is None:
            return None
        start = self.module.lines.starts[first_line(statement) - 1]
        return Rewrite((Edit(start, start, self._block(lines, space)),), invented, cost, "guard")

    def after(
        self, statement: ast.stmt, lines: list[str], invented: str, *, cost: float = 1.0
    ) -> Rewrite | None:
        """Insert lines after a statement; None when it shares its line with other code."""
        space = self.module.indent(statement)
        end_line = statement.end_lineno or statement.lineno
        stop = self.module.lines.span(statement).stop
        _, end = self.module.lines.bounds(end_line)
        if space is None or not _QUIET.fullmatch(self.module.text[stop:end]):
            return None
        text = self.module.newline + self._block(lines, space).rstrip("\r\n")
        return Rewrite((Edit(end, end, text),), invented, cost, "guard")

    def _block(self, lines: list[str], space: str) -> str:
        rows = [
            _STEPS.sub(lambda found: self.module.unit * len(found.group()), row) for row in lines
        ]
        return "".join(f"{space}{row}{self.module.newline}" for row in rows)

    def wrap(
        self, statement: ast.stmt, head: str, tail: list[str], invented: str, *, cost: float = 1.0
    ) -> Rewrite | None:
        """Indent a simple statement under `head` and follow it by the lines of `tail`.

        None when it shares its line or holds a string over several lines.
        """
        space = self.module.indent(statement)
        first, last = statement.lineno, statement.end_lineno or statement.lineno
        begin, end = self.module.lines.starts[first - 1], self.module.lines.bounds(last)[1]
        stop = self.module.lines.span(statement).stop
        if space is None or not _QUIET.fullmatch(self.module.text[stop:end]):
            return None
        if any(_spans_lines(node) for node in walk(statement)):
            return None
        unit, newline = self.module.unit, self.module.newline
        # Line by line, so that the lines themselves stay and only indentation is added.
        starts = [self.module.lines.starts[line - 1] for line in range(first, last + 1)]
        edits = [Edit(at, at, unit) for at in starts if self.module.text[at : at + 1].strip("\r\n")]
        edits[0] = Edit(begin, begin, f"{space}{head}{newline}{unit}")
        closing = newline + self._block(tail, space).rstrip("\r\n")
        return Rewrite((*edits, Edit(end, end, closing)), invented, cost, "guard")

    def remove(self, statement: ast.stmt, invented: str) -> Rewrite | None:
        """Delete a statement with its lines; None when it shares a line with other code."""
        space = self.module.indent(statement)
        last = statement.end_lineno or statement.lineno
        start = self.module.lines.starts[first_line(statement) - 1]
        stop = self.module.lines.span(statement).stop
        _, end = self.module.lines.bounds(last)
        if space is None or not _QUIET.fullmatch(self.module.text[stop:end]):
            return None
        following = self.module.lines.starts[last] if last < len(self.module.lines) else end
        return Rewrite((Edit(start, following, ""),), invented, 1.0, "delete")


_QUIET = re.compile(r"[ \t\f]*(#.*)?", re.DOTALL)
_STEPS = re.compile(r"^>+")


def _spans_lines(node: ast.AST) -> bool:
    return (
        isinstance(node, (ast.Constant, ast.JoinedStr))
        and node.lineno != node.end_lineno
        and infer(node, {}) in ("str", "bytes")
    )
