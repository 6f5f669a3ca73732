"""Order and wrong name: two things swapped, or another thing of a similar name."""

import ast
import builtins
import difflib
from collections.abc import Iterable, Iterator
from itertools import combinations

from selfdrive_dagster.patches.ingredients import attributes_of
from selfdrive_dagster.patches.ordering import round_robin
from selfdrive_dagster.patches.syntax import dotted, walk
from selfdrive_dagster.patches.templates.site import Rewrite, Site

RELATED: tuple[tuple[str, ...], ...] = (
    ("min", "max"),
    ("any", "all"),
    ("list", "tuple", "set", "frozenset", "sorted"),
    ("int", "float", "round"),
    ("str", "repr"),
    ("sum", "len"),
    ("range", "enumerate"),
)
# Words that stand opposite each other inside names: `start_at` may be meant as `end_at`.
ANTONYMS: tuple[tuple[str, str], ...] = (
    ("start", "end"), ("start", "stop"), ("first", "last"), ("min", "max"), ("left", "right"),
    ("lower", "upper"), ("low", "high"), ("begin", "end"), ("head", "tail"), ("next", "prev"),
    ("src", "dst"), ("source", "target"), ("old", "new"), ("before", "after"), ("row", "col"),
    ("width", "height"), ("x", "y"), ("i", "j"), ("key", "value"), ("lstrip", "rstrip"),
    ("append", "extend"), ("find", "rfind"), ("startswith", "endswith"), ("rows", "cols"),
)  # fmt: skip
_ASYMMETRIC = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift)


def swap(site: Site) -> Iterator[Rewrite]:
    """Yield swapped call arguments, tuple elements and operands."""
    for node in site.nodes(ast.Call, ast.Tuple, ast.BinOp, ast.IfExp):
        if isinstance(node, ast.BinOp):
            textual = isinstance(node.op, ast.Add) and site.type_of(node) not in ("int", "float")
            if isinstance(node.op, _ASYMMETRIC) or textual:
                yield site.exchange(node.left, node.right, "swaps two operands")
        elif isinstance(node, ast.IfExp):
            yield site.exchange(node.body, node.orelse, "swaps the branches of a condition")
        else:
            parts = node.args if isinstance(node, ast.Call) else node.elts
            plain = [part for part in parts if not isinstance(part, ast.Starred)][:5]
            for left, right in combinations(plain, 2):
                kinds = {site.type_of(left), site.type_of(right)} - {""}
                if len(kinds) < 2:
                    yield site.exchange(left, right, "swaps two arguments")


def rename(site: Site) -> Iterator[Rewrite]:
    """Yield other names in scope, attributes of the same object, related built-ins."""
    nodes = [node for node in site.nodes(ast.Name, ast.Attribute) if isinstance(node.ctx, ast.Load)]
    yield from round_robin(
        _renamed(site, node) if isinstance(node, ast.Name) else _attributes_for(site, node)
        for node in nodes
    )


def _renamed(site: Site, node: ast.Name) -> Iterator[Rewrite]:
    for new in _names_for(site, node):
        yield site.replace(node, new, f"uses `{new}` where it used `{node.id}`")


def _names_for(site: Site, node: ast.Name) -> Iterator[str]:
    related = [name for group in RELATED if node.id in group for name in group]
    parent = site.module.parents[node]
    called = isinstance(parent, ast.Call) and parent.func is node
    fitting = [] if related or called else list(site.fitting(node))
    opposite = [name for name in opposites(node.id) if name in site.names]
    known = _globals(site) if called else fitting
    alike = difflib.get_close_matches(node.id, known, n=3, cutoff=0.6)
    for name in dict.fromkeys((*opposite, *related, *alike, *fitting[:8])):
        if name != node.id:
            yield name


def opposites(name: str) -> Iterator[str]:
    """Yield a name with one of its words turned into the opposite."""
    words = name.split("_")
    for one, other in ANTONYMS:
        for was, new in ((one, other), (other, one)):
            if was in words:
                yield "_".join(new if word == was else word for word in words)


def _attributes_for(site: Site, node: ast.Attribute) -> Iterator[Rewrite]:
    base = dotted(node.value)
    used = attributes_of(site.module, base, node) if base else ()
    parent = site.module.parents[node]
    if not (isinstance(parent, ast.Call) and parent.func is node):
        methods = {function.name for function in site.module.functions}
        used = tuple(name for name in used if name not in methods)
    turned = [name for name in opposites(node.attr) if name in used or hasattr(str, name)]
    alike = difflib.get_close_matches(node.attr, used, n=4, cutoff=0.5)
    for name in dict.fromkeys((*turned, *alike, *used[:4])):
        if name != node.attr and not name.startswith("__"):
            yield attribute(site, node, name)


def attribute(site: Site, node: ast.Attribute, name: str, cost: float = 1.0) -> Rewrite:
    """Return the rewrite that reads another attribute of the same object."""
    stop = site.module.lines.span(node).stop
    says = f"uses `.{name}` where it used `.{node.attr}`"
    return site.swap_text(stop - len(node.attr), stop, name, says, cost)


def nearest(site: Site) -> Iterator[Rewrite]:
    """Yield the nearest spelling of a name or attribute that does not exist."""
    missing = site.facts.clues.get("name") or site.facts.clues.get("attribute", "")
    for node in site.nodes(ast.Name, ast.Attribute):
        spelt = node.id if isinstance(node, ast.Name) else node.attr
        if spelt != missing or not isinstance(node.ctx, ast.Load):
            continue
        if isinstance(node, ast.Attribute):
            known = _known_attributes(site, node)
            for name in difflib.get_close_matches(spelt, known, n=5, cutoff=0.4):
                if name != spelt:
                    yield attribute(site, node, name)
        else:
            known = [*site.names, *_globals(site), *dir(builtins)]
            for name in difflib.get_close_matches(spelt, known, n=5, cutoff=0.5):
                if name != spelt:
                    yield site.replace(node, name, f"uses `{name}` where it used `{spelt}`")


def _globals(site: Site) -> list[str]:
    """Return the names a file binds at its top: imports, functions, classes, constants."""
    found: list[str] = []
    for node in site.module.tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [(alias.asname or alias.name).split(".")[0] for alias in node.names]
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found


def _known_attributes(site: Site, node: ast.Attribute) -> list[str]:
    """Return the attributes an object may have: by its runtime type, else by usage."""
    told = site.facts.clues.get("type", "")
    kind = told or site.type_of(node.value)
    base = dotted(node.value)
    return [*members(kind), *attributes_of(site.module, base, node), *_class_members(site, kind)]


def _class_members(site: Site, kind: str) -> Iterable[str]:
    """Yield the methods and `self` attributes of a class of this file."""
    for holder in site.module.all(ast.ClassDef):
        if holder.name == kind:
            for node in walk(holder):
                if isinstance(node, ast.FunctionDef):
                    yield node.name
                elif isinstance(node, ast.Attribute) and dotted(node.value) == "self":
                    yield node.attr


def members(kind: str) -> list[str]:
    """Return the public attributes of a built-in or standard class, `[]` for others."""
    found = STANDARD.get(kind)
    return [name for name in dir(found) if not name.startswith("_")] if found else []


def _standard() -> dict[str, type]:
    import collections
    import datetime
    import decimal
    import pathlib
    import re

    known = [
        str, bytes, bytearray, int, float, list, tuple, dict, set, frozenset,
        datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
        decimal.Decimal, pathlib.Path, re.Pattern, re.Match,
        collections.deque, collections.OrderedDict, collections.Counter,
    ]  # fmt: skip
    return {kind.__name__: kind for kind in known}


STANDARD: dict[str, type] = _standard()
"""Classes whose attributes are known without running the product's code."""
