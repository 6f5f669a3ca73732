"""L-value, donor statement, delete: whole statements, or what they assign to."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from selfdrive_dagster.patches.facts import parameters
from selfdrive_dagster.patches.ingredients import attributes_of
from selfdrive_dagster.patches.syntax import KEPT, Module, dotted, walk
from selfdrive_dagster.patches.templates.site import SIMPLE, Rewrite, Site

_ADDING = {"list": "append", "set": "add"}


def retarget(site: Site) -> Iterator[Rewrite]:
    """Yield assignments to another name, attribute or subscript of the function."""
    node = site.statement
    if not isinstance(node, (ast.Assign, ast.AugAssign, ast.For)) or site.function is None:
        return
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    known = [
        site.text(other)
        for other in walk(site.function)
        if isinstance(other, (ast.Name, ast.Attribute, ast.Subscript))
        and isinstance(other.ctx, ast.Store)
        and other not in site.module.sealed
        and "\n" not in site.text(other)
    ]
    base = dotted(target.value) if isinstance(target, ast.Attribute) else ""
    known += [f"{base}.{name}" for name in attributes_of(site.module, base, target)] if base else []
    for text in [
        text for text in dict.fromkeys((*known, *site.names)) if text != site.text(target)
    ][:8]:
        yield site.replace(target, text, f"assigns to `{text}` instead", cost=1.5)


def donate(site: Site) -> Iterator[Rewrite]:
    """Yield inserted assignments, returns, additions and simple statements of the file."""
    node = site.statement
    for lines, says in _donors(site):
        for made in (
            site.before(node, lines, says, cost=1.5),
            site.after(node, lines, says, cost=2.0),
        ):
            if made:
                yield made


def _donors(site: Site) -> Iterator[tuple[list[str], str]]:
    if site.function is None:
        return
    readable = {*site.names, *parameters(site.function)}
    taken = 0
    for other in _near_statements(site):
        read = {n.id for n in walk(other) if isinstance(n, ast.Name)}
        local = read & site.module.local_names
        if local <= readable and taken < 12:
            taken += 1
            text = site.module.source(other)
            yield [text], f"also runs `{text}`"
    for name in site.names[:4]:
        for value in [other for other in site.names if other != name][:3]:
            one, two = site.facts.types.get(name, ""), site.facts.types.get(value, "")
            if name in _ADDING or one in _ADDING:
                yield [f"{name}.{_ADDING[one]}({value})"], f"also adds `{value}` to `{name}`"
            elif one == two:
                yield [f"{name} = {value}"], f"also sets `{name}` to `{value}`"
        yield [f"return {name}"], f"returns `{name}` early"


def _near_statements(site: Site) -> list[ast.stmt]:
    """Return one-line simple statements of the file, the same function's first, nearest first."""
    found: dict[str, ast.stmt] = {}
    nodes = [node for node in _simple_statements(site.module) if node is not site.statement]

    def distance(node: ast.stmt) -> tuple[bool, int]:
        return site.module.function_of(node) is not site.function, abs(node.lineno - site.line)

    for node in sorted(nodes, key=distance):
        found.setdefault(site.module.source(node), node)
    return list(found.values())


@lru_cache(maxsize=KEPT)
def _simple_statements(module: Module) -> tuple[ast.stmt, ...]:
    kinds = (ast.Assign, ast.AugAssign, ast.Expr, ast.Return)
    return tuple(
        node
        for function in module.functions
        for node in walk(function.node)
        if isinstance(node, kinds)
        and node.lineno == node.end_lineno
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    )


def delete(site: Site) -> Iterator[Rewrite]:
    """Yield the statement's removal, in a block that keeps another statement."""
    node = site.statement
    block = site.module.block_of(node)
    if isinstance(node, SIMPLE) and len(block) > 1 and not _is_docstring(node, block):
        made = site.remove(node, f"leaves out `{site.text(node).splitlines()[0]}`")
        if made:
            yield made


def _is_docstring(node: ast.stmt, block: list[ast.stmt]) -> bool:
    return node is block[0] and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
