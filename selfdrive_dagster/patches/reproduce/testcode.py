"""The product's tests as text that can be cut down to one test, and given another ending.

A borrowed test keeps what it stands on (imports, helpers, fixtures, comments) and loses the
rest. Edits go by source span, so that what stays reads as its author wrote it.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cached_property

import msgspec

from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.reproduce.pruning import (
    CannotBorrowError,
    deleted,
    pruned,
    tidy,
    with_imports,
)
from selfdrive_dagster.patches.syntax import FunctionNode, dotted, last_name
from selfdrive_dagster.patches.text import Edit, Lines, apply_edits
from selfdrive_dagster.patches.values import Import

_BLOCKS = (ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.If, ast.While)

Ending = Callable[[int], str]
"""Given an indent, returns the statements that a cut test ends with."""


class TestCode(msgspec.Struct, frozen=True, kw_only=True, dict=True, eq=False):
    """One test function of a test module, perhaps a method."""

    __test__ = False  # pytest must not collect it

    path: str
    text: str
    module: ast.Module
    owner: ast.ClassDef | None
    node: FunctionNode

    @property
    def name(self) -> str:
        """Return `Class.test` or `test`."""
        return f"{self.owner.name}.{self.node.name}" if self.owner else self.node.name

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Return the fixtures (and parameters) it asks for."""
        given = self.node.args
        return tuple(one.arg for one in [*given.posonlyargs, *given.args, *given.kwonlyargs])

    @cached_property
    def calls(self) -> tuple[ast.Call, ...]:
        """Return the calls in its body, in the order of the text."""
        found = [
            node
            for statement in self.node.body
            for node in ast.walk(statement)
            if isinstance(node, ast.Call)
        ]
        return tuple(sorted(found, key=lambda one: (one.lineno, one.col_offset)))


def find_test(path: str, text: str, node_id: str) -> TestCode | None:
    """Return the test that a node id names; None when the file does not parse or has none."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    *owners, name = node_id.partition("[")[0].split("::")[1:] or [""]
    body, owner = module.body, None
    for wanted in owners:
        owner = next((o for o in body if isinstance(o, ast.ClassDef) and o.name == wanted), None)
        if owner is None:
            return None
        body = owner.body
    for node in body:
        if isinstance(node, FunctionNode) and node.name == name and len(owners) < 2:
            return TestCode(path=path, text=text, module=module, owner=owner, node=node)
    return None


def cut_after(
    test: TestCode,
    call: ast.Call,
    ending: Ending,
    *,
    name: str,
    imports: frozenset[Import],
    sentence: str,
    lean: bool,
) -> str:
    """Return a module that holds only `test`, called `name` and cut where `call` stands.

    The statement with the call gives way to `ending`. A `lean` test loses the assertions before
    it too; they may have side effects, so a fuller one should stand by. Raises
    CannotBorrowError when the call stands where a cut would leave no valid function.
    """
    lines = Lines(test.text)
    start, indent = _place_of(test, call, lines)
    last = lines.span(test.node).stop
    edits = [Edit(start, last, ending(indent).strip("\n").removeprefix(" " * indent))]
    edits.append(_renamed(test.node, name, lines))
    edits += _without_docstring(test.node, lines, start)
    edits += [deleted(other, lines) for other in _other_tests(test)]
    if lean:
        edits += [deleted(one, lines) for one in early_assertions(test, call)]
    edits += _new_docstring(test.module, sentence, lines)
    text = apply_edits(test.text, edits)
    text = pruned(text, name)
    return tidy(with_imports(text, imports))


def early_assertions(test: TestCode, call: ast.Call) -> list[ast.stmt]:
    """Return the assertions that stand above the statement with the call."""
    above = [one for one in test.node.body if (one.end_lineno or one.lineno) < call.lineno]
    return [one for one in above if isinstance(one, ast.Assert)]


def _place_of(test: TestCode, call: ast.Call, lines: Lines) -> tuple[int, int]:
    """Return where the new ending begins: offset and indent of the statement to be replaced."""
    body = test.node.body
    while True:
        holder = next((one for one in body if _contains(one, call)), None)
        if holder is None:
            raise CannotBorrowError("the call is not in the test's own body")
        if not isinstance(holder, _BLOCKS) or not any(_contains(one, call) for one in holder.body):
            break
        if isinstance(holder, ast.With) and _expects_raise(holder):
            break
        body = holder.body
    if isinstance(holder, ast.Try | FunctionNode | ast.ClassDef | ast.Match):
        raise CannotBorrowError("the call stands in a block that cannot be cut")
    for node in ast.walk(holder):
        inner = isinstance(node, ast.Lambda | ast.GeneratorExp | ast.ListComp | ast.DictComp)
        if inner and _contains(node, call):
            raise CannotBorrowError("the call stands inside another expression's function")
    return lines.offset(holder.lineno, holder.col_offset), holder.col_offset


def _contains(node: ast.AST, call: ast.Call) -> bool:
    return any(one is call for one in ast.walk(node))


def _expects_raise(holder: ast.With) -> bool:
    calls = [one.context_expr for one in holder.items if isinstance(one.context_expr, ast.Call)]
    return any(last_name(dotted(one.func)) in ("raises", "assertRaises") for one in calls)


def _renamed(node: FunctionNode, name: str, lines: Lines) -> Edit:
    at = lines.offset(node.lineno, node.col_offset)
    found = re.compile(rf"\b{re.escape(node.name)}\b").search(lines.text, at)
    if found is None:
        raise CannotBorrowError("its name was not found in its own text")
    return Edit(found.start(), found.end(), name)


def _without_docstring(node: FunctionNode, lines: Lines, start: int) -> Iterator[Edit]:
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None and len(node.body) > 1:
        after = lines.offset(node.body[1].lineno, node.body[1].col_offset)
        yield Edit(lines.span(first).start, min(after, start), "")


def _other_tests(test: TestCode) -> Iterator[ast.stmt]:
    """Yield the module's other tests, and those of the test's own class."""
    own = test.owner.body if test.owner else []
    for node in [*test.module.body, *own]:
        if _is_other(node, test) or (node is not test.owner and _is_test_class(node)):
            yield node


def _is_other(node: ast.stmt, test: TestCode) -> bool:
    named = isinstance(node, FunctionNode) and node.name.startswith("test")
    return named and node is not test.node


def _is_test_class(node: ast.stmt) -> bool:
    if not isinstance(node, ast.ClassDef):
        return False
    bases = {last_name(dotted(base)) for base in node.bases}
    return node.name.startswith("Test") or any(base.endswith("TestCase") for base in bases)


def _new_docstring(module: ast.Module, sentence: str, lines: Lines) -> Iterator[Edit]:
    text = writing.docstring(sentence)
    if ast.get_docstring(module, clean=False) is not None:
        span = lines.span(module.body[0])
        yield Edit(span.start, span.stop, text)
    else:
        yield Edit(lines.starts[0], lines.starts[0], f"{text}\n\n")
