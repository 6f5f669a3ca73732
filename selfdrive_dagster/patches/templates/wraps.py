"""Wrap, combine, unwrap, convert: an expression inside another, or out of one."""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.ingredients import expressions
from selfdrive_dagster.patches.ordering import round_robin
from selfdrive_dagster.patches.syntax import dotted
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_NUMBERS = ("int", "float")
_SEQUENCES = ("str", "list", "tuple", "bytes")


def combine(site: Site) -> Iterator[Rewrite]:
    """Yield clamps, sums, differences and slices with values in scope."""
    nodes = [
        node
        for node in site.loads()
        if _is_operand(site, node)
        if not isinstance(site.module.parents[node], (ast.If, ast.While, ast.BoolOp, ast.Expr))
    ]
    yield from round_robin(_combined(site, node) for node in nodes)


def _combined(site: Site, node: ast.expr) -> Iterator[Rewrite]:
    kind, text = site.type_of(node), site.operand(node, 12)
    for name in [name for name in site.fitting(node) if name != site.text(node)][:4]:
        other = site.facts.types.get(name, "")
        if kind not in _SEQUENCES and other not in _SEQUENCES and kind != "bool":
            for shape in ("min({0}, {1})", "max({0}, {1})", "{0} + {1}", "{0} - {1}"):
                new = shape.format(text, name)
                yield site.replace(node, new, f"combines a value with `{name}`", kind="wrap")
        elif kind in _SEQUENCES and kind == other:
            yield site.replace(node, f"{text} + {name}", f"adds `{name}`", kind="wrap")
    yield from _sliced(site, node, kind)


def _is_operand(site: Site, node: ast.expr) -> bool:
    """Say whether a value may be combined: no literal, no callee, no base of an attribute."""
    parent = site.module.parents[node]
    shapes = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.BinOp)
    held = isinstance(parent, (ast.Attribute, ast.Starred)) or getattr(parent, "func", None) is node
    fixed = dotted(node).partition(".")[0] in site.fixed
    return isinstance(node, shapes) and not held and not fixed and "\n" not in site.text(node)


def _sliced(site: Site, node: ast.expr, kind: str) -> Iterator[Rewrite]:
    if kind in _SEQUENCES:
        base = site.operand(node, 16)
        counted = [name for name in site.names if site.facts.types.get(name) == "int"][:3]
        for bound in ("1:", ":-1", *(f"{name}:" for name in counted), *(f":{n}" for n in counted)):
            yield site.replace(node, f"{base}[{bound}]", "leaves out a part of a sequence")


def unwrap(site: Site) -> Iterator[Rewrite]:
    """Yield a call's argument or object in place of the call, and bases of subscripts."""
    for node in site.nodes(ast.Call, ast.Subscript, ast.Attribute, ast.IfExp):
        if isinstance(node, ast.Call):
            for arg in node.args[:2]:
                if not isinstance(arg, ast.Starred):
                    yield site.replace(node, site.text(arg), "leaves out a call")
            if isinstance(node.func, ast.Attribute):
                yield site.replace(node, site.text(node.func.value), "leaves out a method call")
        elif isinstance(node, ast.IfExp):
            for branch in (node.body, node.orelse):
                yield site.replace(node, site.text(branch), "takes one branch always")
        elif isinstance(node.ctx, ast.Load) and site.text(node.value) != "self":
            yield site.replace(node, site.text(node.value), "leaves out an access", cost=1.5)


# What a value of one type may be turned into; the first fits most often.
CONVERSIONS: dict[str, tuple[str, ...]] = {
    "str": ("int({0})", "float({0})", "{1}.encode()", "[{0}]", "{1}.strip()", "list({0})"),
    "bytes": ("{1}.decode()", "str({0})", "list({0})"),
    "int": ("str({0})", "float({0})", "[{0}]", "range({0})", "abs({0})"),
    "float": ("int({0})", "str({0})", "round({0})"),
    "list": ("tuple({0})", "set({0})", "str({0})", "len({0})", "iter({0})", "sorted({0})"),
    "tuple": ("list({0})", "str({0})"),
    "set": ("list({0})", "sorted({0})", "tuple({0})"),
    "dict": ("list({0})", "{1}.items()", "{1}.values()"),
    "None": ("str({0})",),
    "": ("str({0})", "int({0})", "list({0})", "float({0})", "tuple({0})", "{1}.encode()",
         "{1}.decode()", "[{0}]", "abs({0})", "{1}.strip()", "{1}.lower()", "repr({0})"),
}  # fmt: skip


_WANTED = {"str": "str", "bytes": "bytes", "unicode": "str", "string": "str"}


def convert(site: Site) -> Iterator[Rewrite]:
    """Yield conversions of operands: `int`, `str`, `list`, `.encode()`, operands before wholes."""
    crashed = site.exception == "TypeError"
    nodes = [
        node
        for node in site.loads()
        if _is_operand(site, node) or (crashed and isinstance(node, ast.Constant))
        if not isinstance(site.module.parents[node], (ast.keyword, ast.Expr, ast.If, ast.While))
        if site.type_of(node) != _WANTED.get(site.facts.clues.get("wanted", ""), "?")
    ]
    nodes.sort(key=lambda node: (isinstance(node, ast.Constant), _is_whole(site, node)))
    yield from round_robin(_converted(site, node) for node in nodes)


def _is_whole(site: Site, node: ast.expr) -> bool:
    return site.module.parents[node] is site.statement


def _converted(site: Site, node: ast.expr) -> Iterator[Rewrite]:
    shapes = CONVERSIONS.get(site.type_of(node), CONVERSIONS[""])
    most = len(shapes) if site.exception else 6
    for cost, shape in enumerate(shapes[:most], start=2):
        new = shape.format(site.text(node), site.operand(node, 16))
        says = f"converts a value by `{shape.format('…', '…')}`"
        yield site.replace(node, new, says, cost=cost / 2, kind="wrap")


def ingredient(site: Site) -> Iterator[Rewrite]:
    """Yield expressions of the same function in place of another, nearest first."""
    if site.function is None:
        return
    shapes = (ast.Attribute, ast.Call, ast.Subscript, ast.BinOp, ast.Compare, ast.BoolOp)
    material = expressions(
        site.module, site.function, site.line, lambda node: isinstance(node, shapes)
    )
    places = [
        node
        for node in site.loads()
        if not isinstance(node, ast.Constant)
        if not isinstance(parent := site.module.parents[node], ast.Attribute)
        if getattr(parent, "func", None) is not node
    ]
    yield from round_robin(_others(site, node, material) for node in places)


def _others(site: Site, node: ast.expr, material: tuple[ast.expr, ...]) -> Iterator[Rewrite]:
    """Yield expressions of a fitting type that neither hold this node nor lie in it."""
    kind, text = site.type_of(node), site.text(node)
    for other in material[:12]:
        offered, spelt = site.type_of(other), site.text(other)
        nested = text in spelt or spelt in text
        if not nested and (not kind or not offered or kind == offered):
            yield site.replace(node, spelt, "uses another expression of the function", cost=1.5)
