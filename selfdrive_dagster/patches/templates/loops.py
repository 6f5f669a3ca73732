"""Loop: what is gone through, where it is nothing, too much, or the wrong way round.

A loop over a literal without elements never runs; what it was meant to go through is likely a
name that nothing else reads, or what a loop nearby goes through.
"""

import ast
from collections import Counter
from collections.abc import Iterator

from selfdrive_dagster.patches.facts import parameters
from selfdrive_dagster.patches.ingredients import attributes_of, is_settled
from selfdrive_dagster.patches.syntax import dotted, walk
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_WHOLE = ("{0}", "{0}.items()", "enumerate({0})", "range(len({0}))", "range({0})", "{0}.values()",
          "reversed({0})", "sorted({0})", "{0}[1:]")  # fmt: skip
_IN_PAIRS = ("{0}.items()", "enumerate({0})", "{0}", "sorted({0}.items())", "enumerate({0}, 1)")
_TURNED = ("reversed({0})", "{0}[1:]", "{0}[:-1]", "sorted({0})", "list({0})", "{0}[::-1]")
_NAMES = 8
_CERTAIN = 0.3
"""What a candidate costs where nothing is gone through: the slip is there."""


def iterate(site: Site) -> Iterator[Rewrite]:
    """Yield other things for a loop or a comprehension to go through."""
    for target, iterable in _loops(site):
        if is_settled(iterable):
            yield from _filled(site, target, iterable, cost=_CERTAIN)
        else:
            yield from _filled(site, target, iterable, cost=2.0)
            for shape in _TURNED:
                text = shape.format(site.operand(iterable, 16))
                yield site.replace(iterable, text, f"goes through `{text}`", cost=2.0)


def _loops(site: Site) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(site.statement, (ast.For, ast.AsyncFor)):
        yield site.statement.target, site.statement.iter
    for node in site.nodes(ast.comprehension):
        yield node.target, node.iter


def _filled(site: Site, target: ast.expr, iterable: ast.expr, cost: float) -> Iterator[Rewrite]:
    own = {node.id for node in walk(target) if isinstance(node, ast.Name)}
    names = [name for name in _unread_first(site) if name not in own][:_NAMES]
    held = [f"self.{name}" for name in attributes_of(site.module, "self", iterable)[:_NAMES]]
    pair = isinstance(target, ast.Tuple)
    shapes = _IN_PAIRS if pair else _WHOLE
    ways: dict[str, None] = dict.fromkeys(names[:3] if not pair else ())
    ways |= dict.fromkeys(shape.format(name) for name in names[:1] for shape in shapes)
    ways |= dict.fromkeys(_collections(site)[:_NAMES])
    ways |= dict.fromkeys(_elsewhere(site, own)[:_NAMES])
    if pair:
        ways |= dict.fromkeys(f"zip({a}, {b})" for a in names[:4] for b in names[:4] if a != b)
    ways |= dict.fromkeys(shape.format(name) for shape in shapes for name in (*names, *held))
    for text in ways:
        yield site.replace(iterable, text, f"goes through `{text}`", cost=cost)


def _unread_first(site: Site) -> list[str]:
    """Return the names in scope, those first that the function reads least."""
    if site.function is None:
        return list(site.names)
    reads = Counter(
        node.id
        for node in walk(site.function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )
    near = {name: place for place, name in enumerate(site.names)}
    return sorted(near, key=lambda name: (min(reads[name], 1), near[name]))


def _collections(site: Site) -> list[str]:
    """Return the names of lists, tuples, sets and dicts at the top of the file, nearest first."""
    kinds = (ast.List, ast.Tuple, ast.Set, ast.Dict)
    held = [
        node for node in site.module.tree.body if isinstance(getattr(node, "value", None), kinds)
    ]
    targets = [
        (abs(node.lineno - site.line), dotted(target))
        for node in held
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return [name for _, name in sorted(targets) if name]


def _elsewhere(site: Site, own: set[str]) -> list[str]:
    """Return what loops of the file go through, with names that can be read here."""
    given = parameters(site.function) if site.function else []
    foreign = (site.module.local_names - {*site.names, *given}) | own
    gone = [one.iter for one in site.module.all(ast.For)]
    gone += [one.iter for one in site.module.all(ast.comprehension)]
    near = sorted(
        (node for node in gone if node not in site.module.sealed),
        key=lambda node: abs(node.lineno - site.line),
    )
    found = []
    for node in near:
        used = {one.id for one in walk(node) if isinstance(one, ast.Name)}
        if not used & foreign and not is_settled(node) and "\n" not in site.text(node):
            found.append(site.text(node))
    return list(dict.fromkeys(found))
