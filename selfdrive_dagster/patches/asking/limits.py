"""Limits: what a model's edit may not do, since strangers may have told the model to do it.

None of this finds an evil patch; it leaves little room for one. Every limit has a price: a right
patch that needs more than it allows is dropped too. Belongs here: looking at one file before and
after. Does not belong: what any patch must pass (`validation.policy`).
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher

from selfdrive_dagster.patches.ingredients import Repository
from selfdrive_dagster.patches.syntax import parse_quietly
from selfdrive_dagster.patches.text import rows

Spans = Mapping[str, tuple[tuple[int, int], ...]]
"""Per file the lines, first and last, that a draft may change."""
Crashed = Mapping[str, tuple[int, ...]]
"""Per file the lines at which a crash stood when it was raised."""

PLAIN_VALUES = (0, 1, -1, 0.0, 1.0, "", b"")
TEXT_KEYWORDS = ("encoding", "errors")
MOST_PARTS = 2
"""Simple statements of a compound one that still is a single treatment: a guard, a handler."""

_Value = tuple[type, object]


def strays(old: str, new: str, spans: tuple[tuple[int, int], ...]) -> str:
    """Say so where a change leaves the suspected functions; an insertion stands behind a line."""
    for start, stop, _, _ in _changes(old, new):
        first, last = (start + 1, stop) if stop > start else (start, start)
        if not any(low <= first and last <= high for low, high in spans):
            return "changes code that was not suspected"
    return ""


def _changes(old: str, new: str) -> list[tuple[int, int, int, int]]:
    """Return the runs of lines that differ: from and to in the old text, then in the new."""
    matcher = SequenceMatcher(None, rows(old), rows(new), autojunk=False)
    return [(i, j, k, n) for tag, i, j, k, n in matcher.get_opcodes() if tag != "equal"]


def unknown_value(old: str, new: str, repository: Repository) -> str:
    """Say which number or text a change brings in that stands nowhere in the product's code.

    Words of an exception are free, as are names of encodings: nothing is decided by them.
    """
    there = Counter(_values(parse_quietly(old)))
    brought = Counter(_values(parse_quietly(new))) - there
    if not brought:
        return ""
    known = set(there) | {v for module in repository.modules for v in _values(module.tree)}
    strange = [value for kind, value in brought if (kind, value) not in known]
    return f"brings in {strange[0]!r}, which the code does not know" if strange else ""


def _values(tree: ast.AST) -> Iterator[_Value]:
    """Yield the numbers and texts of a tree, those that mean nothing by themselves left out."""
    free = {id(node) for each in ast.walk(tree) for node in _free(each)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in free:
            value = node.value
            plain = isinstance(value, bool) or value is None or value is ...
            if not plain and value not in PLAIN_VALUES:
                yield type(value), value


def _free(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        parts = [part for one in node.exc.args for part in getattr(one, "values", [one])]
        yield from (one for one in parts if isinstance(getattr(one, "value", None), str))
    if isinstance(node, ast.Expr) and _is_text(node):
        yield node.value
    if isinstance(node, ast.keyword) and node.arg in TEXT_KEYWORDS:
        yield node.value


def _is_text(node: ast.AST) -> bool:
    """Say whether a statement is a constant alone, as a docstring is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_one_treatment(old: str, new: str) -> bool:
    """Say whether a change is one run of lines that make up one statement, or a part of one.

    Only such a change can be vouched for by a sibling: what stands beside it cannot.
    """
    changes = _changes(old, new)
    if len(changes) != 1:
        return False
    _, _, start, stop = changes[0]
    inside = [
        node
        for node in ast.walk(parse_quietly(new))
        if isinstance(node, ast.stmt)
        and not _is_text(node)
        and start < node.lineno
        and (node.end_lineno or node.lineno) <= stop
    ]
    tops = [one for one in inside if not any(one in _below(other) for other in inside)]
    simple = [one for one in inside if not getattr(one, "body", None)]
    return len(tops) <= 1 and len(simple) <= MOST_PARTS


def _below(statement: ast.stmt) -> list[ast.AST]:
    return [node for node in ast.walk(statement) if node is not statement]
