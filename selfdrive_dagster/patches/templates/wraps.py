"""Wrap, combine, unwrap, convert: an expression inside another, or out of one."""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.ingredients import expressions
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_NUMBERS = ("int", "float")
_SEQUENCES = ("str", "list", "tuple", "bytes")


def combine(site: Site) -> Iterator[Rewrite]:
    """Yield clamps, sums, differences and slices with values in scope."""
    for node in site.loads():
        if not _is_operand(site, node):
            continue
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
    return isinstance(node, shapes) and not held and "\n" not in site.text(node)


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
        elif isinstance(node.ctx, ast.Load):
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


def convert(site: Site) -> Iterator[Rewrite]:
    """Yield conversions of operands: `int`, `str`, `list`, `.encode()` …"""
    for node in site.loads():
        if not _is_operand(site, node) and not isinstance(node, ast.Constant):
            continue
        if isinstance(site.module.parents[node], (ast.keyword, ast.Expr)):
            continue
        kind = site.type_of(node)
        for cost, shape in enumerate(CONVERSIONS.get(kind, CONVERSIONS[""]), start=2):
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
    for node in site.loads():
        if isinstance(node, ast.Constant) or getattr(site.module.parents[node], "func", 0) is node:
            continue
        kind, text = site.type_of(node), site.text(node)
        for other in material[:12]:
            offered = site.type_of(other)
            if text != site.text(other) and (not kind or not offered or kind == offered):
                says = "uses another expression of the function"
                yield site.replace(node, site.text(other), says, cost=1.5)
