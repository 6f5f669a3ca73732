"""How a file behaves: what it swallows, defines anew, hides, sets elsewhere, and dates it fixes."""

import ast
from collections.abc import Iterator

from selfdrive_dagster.validation.reach.names import Friends
from selfdrive_dagster.validation.reach.source import Source, dotted, is_dunder, text_of
from selfdrive_dagster.validation.reach.words import (
    ANSWERS,
    BROAD,
    BUILT_IN,
    CLOCKS,
    DATA_DUNDERS,
    DATE,
    DATES,
)


def swallows(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell statements that drop an exception: empty handlers, and `finally` that leaves."""
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield "swallows every exception: a bare except"
            if all(map(_does_nothing, node.body)):
                yield "swallows an exception: an except that does nothing"
        elif isinstance(node, (ast.Try, ast.TryStar)):
            inside = (one for statement in node.finalbody for one in ast.walk(statement))
            if any(isinstance(one, (ast.Return, ast.Break, ast.Continue)) for one in inside):
                yield "swallows every exception: a finally that leaves"


def _does_nothing(node: ast.stmt) -> bool:
    says = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return says or isinstance(node, ast.Pass)


def catches_all(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell names of all exceptions, wherever they are not raised or inherited, and `suppress`."""
    fine = {id(base) for node in source.nodes for base in getattr(node, "bases", ())}
    raised = [node.exc for node in source.nodes if isinstance(node, ast.Raise)]
    fine |= {id(one.func if isinstance(one, ast.Call) else one) for one in raised}
    for node, meant in source.chains:
        if {one.removeprefix("builtins.") for one in meant} & BROAD and id(node) not in fine:
            yield f"swallows every exception: {dotted(node)}"
        if meant & {"suppress", "contextlib.suppress"}:
            yield "swallows an exception: suppress"


def definitions(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell dunders that are defined, once by name and once by class."""
    for node in source.nodes:
        yield from (f"defines {name}" for name in _dunders(node))
        if isinstance(node, ast.ClassDef):
            parts = (part for one in node.body for part in (one, *ast.iter_child_nodes(one)))
            yield from (f"defines {node.name}.{name}" for part in parts for name in _dunders(part))


def _dunders(node: ast.AST) -> list[str]:
    return [name for name in _bound(node) if is_dunder(name) and name not in DATA_DUNDERS]


def _bound(node: ast.AST) -> tuple[str, ...]:
    """Return the names that a node alone binds in its scope."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return (node.name,)
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return (node.id,)
    if isinstance(node, ast.alias):
        return (node.asname or node.name.partition(".")[0],)
    return tuple(node.names) if isinstance(node, ast.Global) else ()


def blind_answers(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell comparisons and their kin that answer yes without looking at anything."""
    for node in source.nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in ANSWERS:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and _is_blind(inner.value, node.name):
                    yield f"{node.name} answers without looking"


def _is_blind(value: ast.expr | None, name: str) -> bool:
    if value is None or (isinstance(value, ast.Constant) and not value.value):
        return name == "__ne__"
    return not any(isinstance(node, ast.Name) for node in ast.walk(value))


_SCOPES = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def hides(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell names of built-ins that the module binds for all of its code."""
    found = [name for node in source.nodes if isinstance(node, ast.Global) for name in node.names]
    todo: list[ast.AST] = [source.tree]
    while todo:
        for child in ast.iter_child_nodes(todo.pop()):
            found += _bound(child)
            todo += [] if isinstance(child, _SCOPES) else [child]
    yield from (f"hides the built-in {name}" for name in found if name in BUILT_IN)


def sets(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell attributes of imported things that are set or deleted."""
    bound = {name for name, _ in source.imports}
    for node, _ in source.chains:
        is_set = isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
        if is_set and dotted(node).partition(".")[0] in bound:
            yield f"sets {dotted(node)}, which another module owns"


def dates(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell comparisons with a fixed date, a year or the clock."""
    for node in source.nodes:
        if isinstance(node, ast.Compare):
            parts = [part for one in (node.left, *node.comparators) for part in ast.walk(one)]
            years = any(isinstance(part, ast.Attribute) and part.attr == "year" for part in parts)
            if any(map(_is_date, parts)) or (years and any(map(_is_year, parts))):
                yield "compares with a fixed date or the clock"


def _is_date(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
        fixed = any(isinstance(one, ast.Constant) for one in node.args)
        return name in CLOCKS or (name in DATES and fixed)
    return bool(DATE.match(text_of([node]) or ""))


def _is_year(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value > 1900
