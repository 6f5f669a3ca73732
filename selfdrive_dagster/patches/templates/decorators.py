"""Decorator: one left out, another one, or one more that its neighbours carry.

The inverse of a removal needs an ingredient. It is taken from functions beside it (of the class,
then of the file), from the shape of the function (`self` missing: `staticmethod`), and from what
the file imports or defines to decorate with. Every such patch must be tried in a fresh process, so
few are drawn.
"""

import ast
from collections import Counter
from collections.abc import Iterator

from selfdrive_dagster.patches.syntax import FUNCTIONS, FunctionNode, dotted, first_line, walk
from selfdrive_dagster.patches.templates.site import Rewrite, Site
from selfdrive_dagster.patches.text import Edit

Decorated = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_MOST = 8
_OF_CLASSES = ("dataclass", "total_ordering", "unique")
_OF_FUNCTIONS = ("contextmanager", "lru_cache", "cache", "singledispatch")


def decorate(site: Site) -> Iterator[Rewrite]:
    """Yield decorators added, left out or replaced on what runs here or is named here."""
    for place, node in enumerate(_definitions(site)):
        cost = 1.0 + place / 2
        for text in _fitting(site, node)[:_MOST]:
            yield _added(site, node, text, cost)
        for old in node.decorator_list:
            yield _left_out(site, old, cost)
            for text in _fitting(site, node)[:2]:
                says = f"decorates `{node.name}` with `{text}` instead of `{site.text(old)}`"
                yield site.replace(old, text, says, cost=cost + 1)


def _definitions(site: Site) -> list[Decorated]:
    """Return the functions around the statement, innermost first, then those it names."""
    chain = [site.statement, *site.module.ancestors(site.statement)]
    around = [node for node in chain if isinstance(node, FUNCTIONS)]
    used = {node.attr for node in site.nodes(ast.Attribute)}
    used |= {node.id for node in site.nodes(ast.Name)}
    known: list[Decorated] = [one.node for one in site.module.functions]
    known += site.module.all(ast.ClassDef)
    return list(dict.fromkeys((*around, *(node for node in known if node.name in used))))[:4]


def _fitting(site: Site, node: Decorated) -> list[str]:
    """Return the decorators that may be missing, likeliest first."""
    carried = {site.text(held) for held in node.decorator_list}
    found = dict.fromkeys((*_shaped(site, node), *_beside(site, node), *_at_hand(site, node)))
    return [text for text in found if text not in carried]


def _shaped(site: Site, node: Decorated) -> Iterator[str]:
    """Yield what a function's own parameters and its class ask for."""
    holder = site.module.parents[node]
    if isinstance(node, ast.ClassDef) or not isinstance(holder, ast.ClassDef):
        return
    given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    namesakes = [
        item
        for item in holder.body
        if isinstance(item, FUNCTIONS) and item.name == node.name and item is not node
    ]
    if namesakes and len(given) == 2:
        yield f"{node.name}.setter"
    if given[:1] == ["cls"]:
        yield "classmethod"
    elif given[:1] != ["self"]:
        yield "staticmethod"
    elif len(given) == 1 and not node.name.startswith("__"):
        yield "property"


def _beside(site: Site, node: Decorated) -> list[str]:
    """Return what definitions of the same kind carry: in the same block, then in the file."""
    others: list[Decorated] = [one.node for one in site.module.functions]
    if isinstance(node, ast.ClassDef):
        others = list(site.module.all(ast.ClassDef))
    holder = site.module.parents[node]
    near: Counter[str] = Counter()
    far: Counter[str] = Counter()
    for other in others:
        for held in other.decorator_list if other is not node else ():
            alike = site.module.parents[other] is holder
            (near if alike else far)[site.text(held)] += 1
    inside = isinstance(holder, ast.ClassDef)
    taken = [text for text, _ in near.most_common()]
    taken += [text for text, _ in far.most_common() if inside or text not in _IN_CLASSES]
    return [text for text in taken if not text.endswith((".setter", ".getter", ".deleter"))]


_IN_CLASSES = ("property", "classmethod", "staticmethod")


def _at_hand(site: Site, node: Decorated) -> Iterator[str]:
    """Yield what the file imports or defines to decorate with."""
    imported = {alias.asname or alias.name for alias in site.module.all(ast.alias)}
    outer = site.module.function_of(node)
    if outer is not None and isinstance(node, FUNCTIONS):
        wrapped = [argument.arg for argument in outer.args.args][:1]
        roots = {"wraps": "wraps", "functools": "functools.wraps"}
        for name, call in roots.items():
            yield from (f"{call}({given})" for given in wrapped if name in imported)
    known = _OF_CLASSES if isinstance(node, ast.ClassDef) else _OF_FUNCTIONS
    yields = any(isinstance(inner, ast.Yield) for inner in walk(node))
    for name in known:
        if name in imported and (name != "contextmanager" or yields):
            yield name
    yield from _own(site, node)


def _own(site: Site, node: Decorated) -> Iterator[str]:
    """Yield decorators that the file defines above: functions that return one of their own, and
    classes that can be called with one argument."""
    for other in site.module.tree.body:
        if other is node or first_line(other) >= first_line(node):
            continue
        if isinstance(other, ast.FunctionDef | ast.ClassDef) and _can_decorate(other):
            yield other.name


def _can_decorate(node: ast.FunctionDef | ast.ClassDef) -> bool:
    if isinstance(node, ast.FunctionDef):
        return _returns_function(node)
    return any(isinstance(item, FUNCTIONS) and item.name == "__call__" for item in node.body)


def _returns_function(node: FunctionNode) -> bool:
    inner = {item.name for item in node.body if isinstance(item, FUNCTIONS)}
    returned = [item for item in node.body if isinstance(item, ast.Return)]
    return len(node.args.args) == 1 and any(dotted(one.value) in inner for one in returned)


def _added(site: Site, node: Decorated, text: str, cost: float) -> Rewrite:
    line = first_line(node)
    start = site.module.lines.starts[line - 1]
    space = site.module.indent(node) or ""
    new = f"{space}@{text}{site.module.newline}"
    return Rewrite((Edit(start, start, new),), f"decorates `{node.name}` with `{text}`", cost)


def _left_out(site: Site, old: ast.expr, cost: float) -> Rewrite:
    start = site.module.lines.starts[old.lineno - 1]
    last = old.end_lineno or old.lineno
    stop = site.module.lines.starts[last]
    says = f"leaves out the decorator `{site.text(old).splitlines()[0]}`"
    return Rewrite((Edit(start, stop, ""),), says, cost, "delete")
