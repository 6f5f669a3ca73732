"""Comparison, operator and sign: another one, one operand, the other way round, none."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from selfdrive_dagster.patches.ordering import round_robin
from selfdrive_dagster.patches.syntax import dotted
from selfdrive_dagster.patches.templates.site import Rewrite, Site

# For each comparison the likelier slips first: the boundary, then the direction, then the rest.
COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">", ">=", "!=", "==", "in", "not in", "is", "is not"),
    ast.LtE: ("<", ">=", ">", "==", "!=", "in", "not in", "is", "is not"),
    ast.Gt: (">=", "<", "<=", "!=", "==", "in", "not in", "is", "is not"),
    ast.GtE: (">", "<=", "<", "==", "!=", "in", "not in", "is", "is not"),
    ast.Eq: ("!=", "<=", ">=", "in", "is", "<", ">", "not in", "is not"),
    ast.NotEq: ("==", "<", ">", "not in", "is not", "<=", ">=", "in", "is"),
    ast.Is: ("is not", "==", "in", "!=", "not in", "<=", ">=", "<", ">"),
    ast.IsNot: ("is", "!=", "not in", "==", "in", "<", ">", "<=", ">="),
    ast.In: ("not in", "==", "!=", "is", "is not", "<", "<=", ">", ">="),
    ast.NotIn: ("in", "!=", "==", "is not", "is", "<", "<=", ">", ">="),
}
_SPELT: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_COMPARISON = re.compile(r"not\s+in|is\s+not|in|is|<=|>=|==|!=|<|>")
_ORDERING = frozenset(("<", "<=", ">", ">="))
_CONTAINERS = ("str", "list", "tuple", "set", "dict", "frozenset", "bytes", "")

ARITHMETIC: dict[type[ast.operator], tuple[str, ...]] = {
    ast.Add: ("-", "*", "|", "/", "//", "%", "**", "&", "^", "<<", ">>"),
    ast.Sub: ("+", "*", "/", "//", "%", "**", "&", "|", "^", "<<", ">>"),
    ast.Mult: ("/", "+", "**", "//", "-", "%", "&", "|", "^", "<<", ">>"),
    ast.Div: ("//", "*", "%", "-", "+", "**", "&", "|", "^", "<<", ">>"),
    ast.FloorDiv: ("/", "%", "*", "-", "+", "**", ">>", "&", "|", "^", "<<"),
    ast.Mod: ("//", "/", "*", "+", "-", "**", "&", "|", "^", "<<", ">>"),
    ast.Pow: ("*", "//", "+", "-", "/", "%", "<<", "&", "|", "^", ">>"),
    ast.LShift: (">>", "*", "**", "+", "-", "|", "&", "^", "/", "//", "%"),
    ast.RShift: ("<<", "//", "-", "+", "*", "&", "|", "^", "/", "%", "**"),
    ast.BitOr: ("&", "^", "+", "-", "*", "<<", ">>", "/", "//", "%", "**"),
    ast.BitAnd: ("|", "^", "+", "-", "*", "<<", ">>", "/", "//", "%", "**"),
    ast.BitXor: ("&", "|", "+", "-", "*", "**", "<<", ">>", "/", "//", "%"),
}
_TEXT = frozenset(("str", "bytes", "list", "tuple"))
_OF_TEXT = ("+", "*", "%")
"""What texts and sequences understand; the rest raises."""
_LIKELY, _POSSIBLE = 3, 5
"""Operators of a row that cost 1, and those that cost 1.5; the rest costs 2.5."""


def _cost(place: int) -> float:
    return 1.0 if place < _LIKELY else 1.5 if place < _POSSIBLE else 2.5


_ARITHMETIC = re.compile(r"\*\*|//|<<|>>|[-+*/%@&|^]")


def compare(site: Site) -> Iterator[Rewrite]:
    """Yield other comparison operators, and `in` with its sides swapped."""
    for node in site.nodes(ast.Compare):
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            found = _between(site, left, right, _COMPARISON)
            row = _habits(site, left, right, COMPARISONS[type(operator)]) if found else ()
            for place, new in enumerate(row):
                if found and _comparable(site, new, left, right):
                    says = f"compares with `{new}` instead of `{found.group()}`"
                    cost = _cost(place) + (0.0 if place < 2 or new[0] in "<>=!" else 1.0)
                    yield site.swap_text(found.start(), found.end(), new, says, cost)
            if isinstance(operator, (ast.In, ast.NotIn)) and len(node.ops) == 1:
                yield site.exchange(left, right, "swaps the sides of `in`")
            left = right


def _habits(site: Site, left: ast.expr, right: ast.expr, row: tuple[str, ...]) -> tuple[str, ...]:
    """Return operators with those first that the file uses with the same operand elsewhere."""
    if isinstance(right, ast.Constant) and right.value in (None, True, False):
        usual = ["is", "is not"] if right.value is None else ["is", "=="]
    else:
        told = {site.text(side) for side in (left, right) if not isinstance(side, ast.Constant)}
        usual = [
            _SPELT[type(other.ops[0])]
            for other in site.module.all(ast.Compare)
            if other.left is not left and other not in site.module.sealed
            if {site.text(other.left), site.text(other.comparators[0])} & told
        ]
    return tuple(dict.fromkeys((*(new for new in dict.fromkeys(usual) if new in row), *row)))


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
    yield from round_robin(
        _arithmetic(site, node) if isinstance(node, ast.BinOp) else _boolean(site, node)
        for node in site.nodes(ast.BinOp, ast.BoolOp)
    )
    if isinstance(site.statement, ast.AugAssign):
        yield from _augmented(site, site.statement)
    elif isinstance(site.statement, ast.Assign):
        yield from _updating(site, site.statement)


def _arithmetic(site: Site, node: ast.BinOp) -> Iterator[Rewrite]:
    found = _between(site, node.left, node.right, _ARITHMETIC)
    kinds = {site.type_of(node.left), site.type_of(node.right)}
    ways = [
        site.swap_text(found.start(), found.end(), new, _computes(new, found), cost)
        for cost, new in (_others(node.op, kinds) if found else ())
        if found
    ]
    says = f"keeps only one operand of `{_word(found)}`"
    yield from ways[:2]
    for kept in (node.left, node.right):
        yield site.replace(node, site.text(kept), says)
    yield from ways[2:]


def _computes(new: str, found: re.Match[str]) -> str:
    return f"computes with `{new}` instead of `{found.group()}`"


def _others(operator: ast.operator, kinds: set[str]) -> list[tuple[float, str]]:
    """Return the other operators that values of these types understand, with their costs."""
    row = ARITHMETIC.get(type(operator), ())
    if kinds & _TEXT:
        row = tuple(new for new in row if new in _OF_TEXT)
    return [(_cost(place), new) for place, new in enumerate(row)]


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
    for cost, new in _others(node.op, {site.type_of(node.target), site.type_of(node.value)}):
        says = f"updates with `{new}=` instead of `{found.group()}=`"
        yield site.swap_text(found.start(), found.end(), new, says, cost)
    plain = site.module.text.index("=", found.end())
    yield site.swap_text(found.start(), plain + 1, "=", "assigns where it updated")


def _updating(site: Site, node: ast.Assign) -> Iterator[Rewrite]:
    """Yield an update in place of an assignment, where the name had a value before."""
    target = node.targets[0]
    known = dotted(target) in site.names or not isinstance(target, ast.Name)
    if len(node.targets) > 1 or isinstance(target, (ast.Tuple, ast.List)) or not known:
        return
    start = site.module.lines.span(target).stop
    equals = site.module.text.index("=", start)
    for place, new in enumerate(("+", "-", "|", "*")):
        says = f"updates with `{new}=` where it assigned"
        yield site.swap_text(equals, equals + 1, f"{new}=", says, 1.5 + place / 2)


# A sign or `not` → what may have been meant; "" leaves it out.
UNARY: dict[type[ast.unaryop], tuple[str, ...]] = {
    ast.Not: ("", "-", "~"),
    ast.USub: ("", "~", "not "),
    ast.UAdd: ("-", "", "~", "not "),
    ast.Invert: ("", "-", "not "),
}
_SIGNED = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.BinOp)


def sign(site: Site) -> Iterator[Rewrite]:
    """Yield a sign or `not` left out, another one, or one more."""
    for node in site.nodes(ast.UnaryOp):
        for place, new in enumerate(UNARY[type(node.op)]):
            says = f"puts `{new.strip()}` in place of a sign" if new else "leaves out a sign"
            text = site.text(node.operand) if not new else new + site.operand(node.operand, 13)
            yield site.replace(node, text, says, cost=1.0 + place / 2)
    for expression in site.loads():
        parent = site.module.parents[expression]
        if not isinstance(expression, (*_SIGNED, ast.Compare)) or _is_part(expression, parent):
            continue
        kind = site.type_of(expression)
        if kind in ("int", "float", "") and isinstance(expression, _SIGNED):
            text = f"-{site.operand(expression, 13)}"
            yield site.replace(expression, text, "turns a sign", cost=2.0)
        if kind in ("bool", "") and not isinstance(parent, (ast.BinOp, ast.Subscript, ast.Compare)):
            text = f"not {site.operand(expression, 5)}"
            yield site.replace(expression, text, "turns a truth value", cost=2.0)


def _is_part(node: ast.expr, parent: ast.AST) -> bool:
    """Say whether a node is no value of its own: a callee, an object, a tested whole."""
    held = getattr(parent, "func", None) is node or getattr(parent, "value", None) is node
    shapes = (ast.Attribute, ast.Subscript, ast.Call, ast.Starred, ast.UnaryOp, ast.Expr)
    return (held and isinstance(parent, shapes)) or isinstance(
        parent, (ast.UnaryOp, ast.For, ast.comprehension, ast.withitem)
    )
