"""Origin: where a value that is read here was written down, in a default or at the top.

Defaults of parameters and constants of a file or a class run when the file is imported, in no
test's name: localisation cannot suspect them. The statement that reads one can.
"""

import ast
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from selfdrive_dagster.patches.ordering import round_robin
from selfdrive_dagster.patches.syntax import dotted
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_EACH = 12
"""Rewrites of one origin: each must be tried in a fresh process."""


Make = Callable[[Site], Iterator[Rewrite]]


def origins_by(*families: Make) -> Make:
    """Return the family that makes the others' likeliest edits where values come from."""

    def origin(site: Site) -> Iterator[Rewrite]:
        for statement in _origins(site):
            there = Site(site.module, statement, statement.lineno, site.facts, site.repository)
            for rewrite in islice(round_robin(family(there) for family in families), _EACH):
                yield msgspec.structs.replace(rewrite, cost=rewrite.cost + 0.5)

    return origin


def _origins(site: Site) -> list[ast.stmt]:
    """Return the statements that wrote what this one reads: defaults, then constants."""
    read = {node.id for node in site.nodes(ast.Name) if isinstance(node.ctx, ast.Load)}
    held = {
        node.attr for node in site.nodes(ast.Attribute) if dotted(node.value) in ("self", "cls")
    }
    found: list[ast.stmt] = []
    if site.function is not None and _has_default(site.function) & read:
        found.append(site.function)
    found += [one for one in site.module.tree.body if _binds(one) & read]
    holder = site.module.class_of(site.statement)
    found += [one for one in (holder.body if holder else ()) if _binds(one) & held]
    return [one for one in found if one is not site.statement]


def _has_default(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the parameters that have a default."""
    given = [*function.args.posonlyargs, *function.args.args]
    ordinary = given[len(given) - len(function.args.defaults) :]
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {one.arg for one in ordinary} | {one.arg for one, value in pairs if value is not None}


def _binds(statement: ast.stmt) -> set[str]:
    """Return the names that an assignment of a value binds."""
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return {dotted(statement.target)}
    if isinstance(statement, ast.Assign):
        return {dotted(target) for target in statement.targets}
    return set()
