"""What an exception tells of an object's state that nobody sent.

`self.mark[0]` raises IndexError only where `self.mark` is empty, and "'NoneType' object has no
attribute" at `self.owner.name` only where `self.owner` is None. Where the state of `self` was not
sent, a borrowed object can be given that one attribute.

Belongs here: reading attributes and values off the line that raised. Does not belong: writing
tests (`borrowed`), and what was recorded.
"""

import ast
from collections.abc import Iterator

import msgspec

from selfdrive_dagster.model import Diagnosis
from selfdrive_dagster.patches.facts import infer
from selfdrive_dagster.patches.syntax import Function, Module, last_name

MOST = 3
EMPTY = {"str": '""', "bytes": 'b""', "list": "[]", "tuple": "()", "dict": "{}"}


class Inferred(msgspec.Struct, frozen=True):
    """An attribute of `self` and the source of the value that it must have had, with why."""

    attribute: str
    value: str
    why: str


def inferred(module: Module, function: Function, diagnosis: Diagnosis) -> tuple[Inferred, ...]:
    """Return what the line that raised tells of `self`, at most MOST, as it stands in the code."""
    line = diagnosis.frames[0].line
    kind = last_name(diagnosis.exception_type)
    on_line = [
        node
        for node in ast.walk(function.node)
        if isinstance(node, ast.expr) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    found = (one for node in on_line for one in _told_by(node, kind, diagnosis.words, module))
    return tuple(dict.fromkeys(found))[:MOST]


def _told_by(node: ast.expr, kind: str, words: str, module: Module) -> Iterator[Inferred]:
    value = ""
    base: ast.expr | None = None
    match node:
        case ast.Subscript(value=ast.expr() as base, slice=ast.Constant() | ast.UnaryOp()):
            if kind == "IndexError":
                value = EMPTY.get(_kind(_own(base), module), "")
            elif words.startswith("'NoneType' object is not subscriptable"):
                value = "None"
        case ast.Attribute(value=ast.expr() as base, attr=attribute):
            if words.startswith(f"'NoneType' object has no attribute '{attribute}'"):
                value = "None"
        case ast.BinOp(op=ast.Div() | ast.FloorDiv() | ast.Mod(), right=ast.expr() as base):
            if kind == "ZeroDivisionError":
                value = "0"
    if base is not None and value and (name := _own(base)):
        yield Inferred(name, value, f"{kind} at `{ast.unparse(node)}` tells it")


def _own(node: ast.expr) -> str:
    """Return the name of an attribute of `self`, "" for all else."""
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if not name.startswith("__"):
            return name
    return ""


def _kind(attribute: str, module: Module) -> str:
    """Return the type that the file gives an attribute of `self`: the only one, else ""."""
    given = [
        *((target, node.value) for node in module.all(ast.Assign) for target in node.targets),
        *((node.target, node.value) for node in module.all(ast.AnnAssign)),
    ]
    kinds = {infer(value, {}) for target, value in given if value and _own(target) == attribute}
    known = kinds - {"", "None", "NoneType"}
    return known.pop() if len(known) == 1 else ""
