"""Plus or minus one, another literal, another result."""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.ingredients import constants, returned
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_COUNTED = ("int", "")
_EMPTY = {"str": '""', "list": "[]", "dict": "{}", "tuple": "()", "int": "0", "float": "0.0"}


def shift(site: Site) -> Iterator[Rewrite]:
    """Yield ±1 on integer constants and counted expressions, 0 and 1, flipped booleans."""
    for constant in site.nodes(ast.Constant):
        if isinstance(constant.value, bool):
            yield site.replace(constant, str(not constant.value), f"uses {not constant.value}")
        elif isinstance(constant.value, int):
            yield from _near(site, constant, constant.value)
    for node in _counted(site):
        for step in ("+ 1", "- 1"):
            text = f"{site.operand(node, 11)} {step}"
            yield site.replace(node, text, f"counts `{step}` from before")


def _near(site: Site, node: ast.Constant, value: int) -> Iterator[Rewrite]:
    hexadecimal = not site.text(node).isdigit()
    for new in dict.fromkeys((value + 1, value - 1, 0, 1)):
        if new != value and not hexadecimal:
            text = str(new) if new >= 0 else f"-{abs(new)}"
            yield site.replace(node, text, f"uses {new} where it used {value}")


def _counted(site: Site) -> Iterator[ast.expr]:
    """Yield expressions that count: indices, bounds, ranges, operands of a comparison."""
    found: dict[ast.expr, None] = {}
    for node in site.nodes(ast.Subscript, ast.Call, ast.Compare):
        if isinstance(node, ast.Subscript):
            bounds = [node.slice]
            if isinstance(node.slice, ast.Slice):
                bounds = [part for part in (node.slice.lower, node.slice.upper) if part]
            found |= dict.fromkeys(bounds)
        elif isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            if {site.type_of(side) for side in sides} <= {"int", "float", ""}:
                found |= dict.fromkeys(sides)
        elif isinstance(node.func, ast.Name) and node.func.id in ("range", "randint", "islice"):
            found |= dict.fromkeys(node.args)
    value = getattr(site.statement, "value", None)
    if isinstance(site.statement, (ast.Return, ast.Assign, ast.AugAssign)) and value is not None:
        found |= {value: None}
    for counted in found:
        known = site.type_of(counted)
        shapes = (ast.Constant, ast.Slice, ast.Starred, ast.Tuple, ast.BoolOp, ast.JoinedStr)
        unknown_call = (
            isinstance(counted, (ast.Call, ast.Lambda, ast.IfExp, ast.Await)) and not known
        )
        if known in _COUNTED and not isinstance(counted, shapes) and not unknown_call:
            yield counted


def literal(site: Site) -> Iterator[Rewrite]:
    """Yield other literals of the same type from the function and the file, and names."""
    for node in site.nodes(ast.Constant):
        kind = type(node.value).__name__
        if isinstance(node.value, (bool, type(...))) or site.module.parents[node] is site.statement:
            continue
        for text in constants(site.module, site.function, kind, site.line)[:8]:
            yield site.replace(node, text, f"uses {text} where it used {site.text(node)}", cost=1.5)
        for name in list(site.fitting(node))[:4]:
            yield site.replace(node, name, f"uses `{name}` where it used a constant", cost=1.5)


def result(site: Site) -> Iterator[Rewrite]:
    """Yield other results of a `return`: what the function returns elsewhere, names, empties."""
    node = site.statement
    if not isinstance(node, ast.Return) or node.value is None:
        return
    empty = _EMPTY.get(site.type_of(node.value), "")
    known = [text for text in returned(site.module, site.function) if text]
    texts = [*known, *list(site.fitting(node.value))[:5], *([empty] if empty else []), "None"]
    arithmetic = isinstance(node.value, (ast.BinOp, ast.Constant))
    if site.type_of(node.value) in ("bool", "") and not arithmetic:
        texts += [f"not {site.operand(node.value, 5)}", "True", "False"]
    for text in dict.fromkeys(texts):
        yield site.replace(node.value, text, f"returns {text} in every case", cost=1.5)
