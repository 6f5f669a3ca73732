"""What no one writes: expressions that can only raise, or say the same whatever their operands are.

Where a handler stands around it, an expression that always raises passes for a repair: the tests
then see the fallback alone. Such edits and those that hold a thing against itself are left out
before anything runs.

Belongs here: shapes that are nonsense in any program. Does not belong: what a site's types forbid.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from selfdrive_dagster.patches.syntax import children, walk

_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_HOLDERS = (
    ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp,
    ast.GeneratorExp, ast.JoinedStr, ast.Compare, ast.BoolOp, ast.Lambda,
)  # fmt: skip
_NO_BOUND = frozenset(("str", "repr", "list", "tuple", "set", "dict", "bytes", "float", "sorted"))


def nonsense(tree: ast.AST, lines: range | None = None) -> Counter[str]:
    """Count the nonsense in a tree, or on some lines of it, by its text."""
    return Counter(ast.unparse(node) for node in _near(tree, lines) if _is_nonsense(node))


def _near(tree: ast.AST, lines: range | None) -> Iterator[ast.AST]:
    """Yield the nodes that stand on these lines, all without; what is elsewhere is not entered."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        first = getattr(node, "lineno", None)
        if lines is None or first is None or _meets(lines, first, node.end_lineno):  # type: ignore[attr-defined]
            yield node
            waiting += children(node)


def _meets(lines: range, first: int, last: int) -> bool:
    return first < lines.stop and lines.start <= last


def _is_nonsense(node: ast.AST) -> bool:
    match node:
        case ast.Subscript(value=base, slice=ast.Slice() as cut):
            bounds = [one for one in (cut.lower, cut.upper, cut.step) if one is not None]
            return any(_same(base, one) or _is_no_number(one) for one in bounds)
        case ast.Subscript(value=base, slice=key):
            return _same(base, key)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert(), operand=operand):
            return _is_a_cut(operand) or isinstance(operand, _HOLDERS)
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _ARITHMETIC):
            numbers = [one for one in (left, right) if _is_number(one)]
            times = isinstance(op, ast.Mult)
            return bool(numbers) and not times and (_is_a_cut(left) or _is_a_cut(right))
        case ast.Compare(left=left, comparators=[right]):
            return _same(left, right)
        case ast.BoolOp(values=values):
            return any(_same(one, other) for one, other in pairwise(values))
        case ast.Call(func=ast.Name(id="isinstance"), args=[one, kind]):
            return _same(one, kind)
    return False


def _same(one: ast.expr, other: ast.expr) -> bool:
    """Say whether two expressions without calls are the same text."""
    called = any(isinstance(node, (ast.Call, ast.Await)) for node in walk(one))
    return not called and ast.dump(one) == ast.dump(other)


def _is_a_cut(node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)


def _is_number(node: ast.expr) -> bool:
    value = getattr(node, "value", None)
    return isinstance(node, ast.Constant) and type(value) in (int, float)


def _is_no_number(node: ast.expr) -> bool:
    """Say whether a bound can be no integer."""
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name in _NO_BOUND
        case ast.Constant(value=value):
            return not isinstance(value, int) and value is not None
    return isinstance(node, _HOLDERS)
