"""Plus or minus one, another literal, another result."""

import ast
import difflib
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
        elif isinstance(constant.value, float):
            yield from _scaled(site, constant, constant.value)
    for node in _counted(site):
        for step in ("+ 1", "- 1"):
            text = f"{site.operand(node, 11)} {step}"
            yield site.replace(node, text, f"counts `{step}` from before")


def _near(site: Site, node: ast.Constant, value: int) -> Iterator[Rewrite]:
    close = (value + 1, value - 1, 0, 1)
    far = (-value, value + 2, value - 2, 2 * value, value // 2, 10 * value)
    for place, new in enumerate(dict.fromkeys((*close, *far))):
        cost = 1.0 if place < len(close) else 2.0
        if new != value:
            text = _spelt(site.text(node), new)
            yield site.replace(
                node, text, f"uses {text} where it used {site.text(node)}", cost=cost
            )


def _spelt(old: str, new: int) -> str:
    """Return an integer in the base that another one is written in."""
    ways = {"0x": hex, "0b": bin, "0o": oct}
    return ways.get(old[:2].lower(), str)(new)


def _scaled(site: Site, node: ast.Constant, value: float) -> Iterator[Rewrite]:
    close = (value + 1, value - 1, 0.0, 1.0, -value, value / 2, value * 2, value * 10, value / 10)
    for place, new in enumerate(dict.fromkeys(close)):
        if new != value:
            says = f"uses {new!r} where it used {value!r}"
            yield site.replace(node, repr(new), says, cost=1.0 if place < 2 else 2.0)


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
        if isinstance(node.value, str):
            yield from _respelt(site, node, node.value)
        for name in list(site.fitting(node))[:4]:
            yield site.replace(node, name, f"uses `{name}` where it used a constant", cost=1.5)


def _respelt(site: Site, node: ast.Constant, value: str) -> Iterator[Rewrite]:
    """Yield a text empty, in other letters, trimmed, and texts of the file that look like it."""
    known = constants(site.module, None, "str", site.line)
    mark = site.text(node)[-1]
    alike = difflib.get_close_matches(site.text(node), known, n=4, cutoff=0.6)
    turned = (value.lower(), value.upper(), value.strip(), value.capitalize(), "", " ")
    own = [spelling(text, mark) for text in dict.fromkeys(turned) if text != value]
    for text in dict.fromkeys((*alike, *own)):
        yield site.replace(node, text, f"uses {text} where it used {site.text(node)}", cost=2.0)


def spelling(value: str, mark: str) -> str:
    """Return a text as a literal between these quotation marks, where it can be."""
    text = repr(value)
    return text if mark == "'" or mark in text else f"{mark}{text[1:-1]}{mark}"


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
