"""Comparison and operator: another of the same rank, one operand, the other way round."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from selfdrive_dagster.patches.templates.site import Rewrite, Site

# For each comparison the likelier slips first: the boundary, then the direction.
COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">", ">=", "!="),
    ast.LtE: ("<", ">=", ">", "=="),
    ast.Gt: (">=", "<", "<=", "!="),
    ast.GtE: (">", "<=", "<", "=="),
    ast.Eq: ("!=", "<=", ">=", "in", "is"),
    ast.NotEq: ("==", "<", ">", "not in", "is not"),
    ast.Is: ("is not", "=="),
    ast.IsNot: ("is", "!="),
    ast.In: ("not in", "=="),
    ast.NotIn: ("in", "!="),
}
_COMPARISON = re.compile(r"not\s+in|is\s+not|in|is|<=|>=|==|!=|<|>")
_ORDERING = frozenset(("<", "<=", ">", ">="))
_CONTAINERS = ("str", "list", "tuple", "set", "dict", "frozenset", "bytes", "")

ARITHMETIC: dict[type[ast.operator], tuple[str, ...]] = {
    ast.Add: ("-", "*", "|"),
    ast.Sub: ("+", "*", "/"),
    ast.Mult: ("/", "+", "**", "//", "-"),
    ast.Div: ("//", "*", "%", "-"),
    ast.FloorDiv: ("/", "%", "*"),
    ast.Mod: ("//", "/", "*"),
    ast.Pow: ("*", "//"),
    ast.LShift: (">>",),
    ast.RShift: ("<<",),
    ast.BitOr: ("&", "^", "+"),
    ast.BitAnd: ("|", "^"),
    ast.BitXor: ("&", "|"),
}
_ARITHMETIC = re.compile(r"\*\*|//|<<|>>|[-+*/%@&|^]")


def compare(site: Site) -> Iterator[Rewrite]:
    """Yield other comparison operators, and `in` with its sides swapped."""
    for node in site.nodes(ast.Compare):
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            found = _between(site, left, right, _COMPARISON)
            for new in COMPARISONS[type(operator)] if found else ():
                if found and _comparable(site, new, left, right):
                    says = f"compares with `{new}` instead of `{found.group()}`"
                    cost = 1.0 if new[0] in "<>=!" else 2.0
                    yield site.swap_text(found.start(), found.end(), new, says, cost)
            if isinstance(operator, (ast.In, ast.NotIn)) and len(node.ops) == 1:
                yield site.exchange(left, right, "swaps the sides of `in`")
            left = right


def _between(
    site: Site, left: ast.expr, right: ast.expr, pattern: re.Pattern[str]
) -> re.Match[str] | None:
    """Find an operator between two operands; None when a comment stands there."""
    start = site.module.lines.span(left).stop
    stop = site.module.lines.span(right).start
    if "#" in site.module.text[start:stop]:
        return None
    return pattern.search(site.module.text, start, stop)


def _comparable(site: Site, new: str, left: ast.expr, right: ast.expr) -> bool:
    kinds = {site.type_of(left), site.type_of(right)}
    if new in _ORDERING:
        return not kinds & {"None", "bool", "dict"}
    if new in ("in", "not in"):
        return site.type_of(right) in _CONTAINERS
    if new in ("is", "is not"):
        return not kinds & {"int", "str", "float"}
    return True


def operate(site: Site) -> Iterator[Rewrite]:
    """Yield other arithmetic operators, `and` for `or`, and operands left out."""
    for node in site.nodes(ast.BinOp, ast.BoolOp, ast.UnaryOp):
        if isinstance(node, ast.BinOp):
            yield from _arithmetic(site, node)
        elif isinstance(node, ast.BoolOp):
            yield from _boolean(site, node)
        elif isinstance(node.op, (ast.Not, ast.USub, ast.Invert)):
            yield site.replace(node, site.text(node.operand), "leaves out a sign or `not`")
    if isinstance(site.statement, ast.AugAssign):
        yield from _augmented(site, site.statement)


def _arithmetic(site: Site, node: ast.BinOp) -> Iterator[Rewrite]:
    left, right = site.type_of(node.left), site.type_of(node.right)
    found = _between(site, node.left, node.right, _ARITHMETIC)
    textual = {left, right} & {"str", "bytes", "list", "tuple"}
    for new in ARITHMETIC.get(type(node.op), ()) if found and not textual else ():
        if found:
            says = f"computes with `{new}` instead of `{found.group()}`"
            cost = 3.0 if new in "|&^" else 1.0
            yield site.swap_text(found.start(), found.end(), new, says, cost)
    for kept in (node.left, node.right):
        yield site.replace(node, site.text(kept), f"keeps only one operand of `{_word(found)}`")


def _word(found: re.Match[str] | None) -> str:
    return found.group() if found else "the operator"


def _boolean(site: Site, node: ast.BoolOp) -> Iterator[Rewrite]:
    spans = [site.module.lines.span(value) for value in node.values]
    joined = " or " if isinstance(node.op, ast.And) else " and "
    values = [site.operand(value, 5) for value in node.values]
    if all("#" not in site.module.text[a.stop : b.start] for a, b in pairwise(spans)):
        yield site.replace(node, joined.join(values), f"joins conditions with `{joined.strip()}`")
    word = " and " if isinstance(node.op, ast.And) else " or "
    for index in range(len(values)):
        rest = values[:index] + values[index + 1 :]
        yield site.replace(node, word.join(rest), "leaves out a condition", cost=1.5)


def _augmented(site: Site, node: ast.AugAssign) -> Iterator[Rewrite]:
    start = site.module.lines.span(node.target).stop
    stop = site.module.lines.span(node.value).start
    found = _ARITHMETIC.search(site.module.text, start, stop)
    if not found:
        return
    for new in ARITHMETIC.get(type(node.op), ()):
        if site.type_of(node.value) not in ("str", "list", "tuple"):
            says = f"updates with `{new}=` instead of `{found.group()}=`"
            yield site.swap_text(found.start(), found.end(), new, says)
    plain = site.module.text.index("=", found.end())
    yield site.swap_text(found.start(), plain + 1, "=", "assigns where it updated")
