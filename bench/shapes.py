"""The shape of a real fix: which template family changes code like that, "" when none does.

Two syntax trees of one file are walked side by side down to the smallest node that differs; what
became of it names the family. The rules are an ordered table, and rough on purpose: they say which
way of changing code is common, not whether our templates would have found that very fix.
"""

import ast
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher

Change = tuple[ast.AST | None, ast.AST | None, ast.AST]
"""What stood there, what stands there now (None: nothing), and the node that holds it."""

LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)
WRAPPING = {"int", "float", "str", "list", "tuple", "set", "bytes", "bool", "sorted", "repr"}


def changes(old: ast.AST, new: ast.AST, holder: ast.AST) -> Iterator[Change]:
    """Yield the smallest differences between two trees."""
    if ast.dump(old) == ast.dump(new):
        return
    fields = list(zip(ast.iter_fields(old), ast.iter_fields(new), strict=False))
    differing = [
        (before, after)
        for (_, before), (_, after) in fields
        if _told(before) != _told(after)
    ]  # fmt: skip
    if type(old) is not type(new) or not differing:
        yield old, new, holder
        return
    for before, after in differing:
        if isinstance(before, list) and isinstance(after, list):
            yield from _in_lists(before, after, old, new)
        elif isinstance(before, ast.AST) and isinstance(after, ast.AST):
            yield from changes(before, after, old)
        else:
            yield old, new, holder
            return


def _in_lists(
    before: list[ast.AST], after: list[ast.AST], old: ast.AST, new: ast.AST
) -> Iterator[Change]:
    if not all(isinstance(one, ast.AST) for one in (*before, *after)):
        yield old, new, old
        return
    told = SequenceMatcher(None, [_told(one) for one in before], [_told(one) for one in after])
    for tag, i1, i2, j1, j2 in told.get_opcodes():
        if tag == "equal":
            continue
        if i2 - i1 == j2 - j1:
            for one, other in zip(before[i1:i2], after[j1:j2], strict=True):
                yield from changes(one, other, old)
        elif isinstance((before or after)[0], ast.stmt) or "list" in type(old).__name__:
            yield _first(before[i1:i2]), _first(after[j1:j2]), old
        else:
            yield old, new, old


def _first(nodes: list[ast.AST]) -> ast.AST | None:
    return nodes[0] if nodes else None


def _told(value: object) -> str:
    if isinstance(value, ast.AST):
        return ast.dump(value)
    if isinstance(value, list):
        return repr([_told(one) for one in value])
    return repr(value)


def _is_call_of(node: ast.AST | None, names: set[str]) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    name = getattr(called, "id", getattr(called, "attr", ""))
    return name in names


def _holds(outer: ast.AST | None, inner: ast.AST | None) -> bool:
    if outer is None or inner is None:
        return False
    told = ast.dump(inner)
    return any(ast.dump(node) == told for node in ast.walk(outer) if node is not outer)


def _is(old: ast.AST | None, new: ast.AST | None, *kinds: type[ast.AST]) -> bool:
    return isinstance(old, kinds) and isinstance(new, kinds)


def _number(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float, bool)


def _tested(old: ast.AST | None, new: ast.AST | None) -> bool:
    return isinstance(new, ast.BoolOp) or (isinstance(old, ast.BoolOp) and new is not None)


RULES: tuple[tuple[str, Callable[[ast.AST | None, ast.AST | None, ast.AST], bool]], ...] = (
    ("decorator", lambda o, n, h: h is not None and isinstance(h, ast.FunctionDef | ast.ClassDef)
     and not isinstance(o or n, ast.stmt | ast.arguments)),
    ("comparison", lambda o, n, h: _is(o, n, ast.cmpop)),
    ("operator", lambda o, n, h: _is(o, n, ast.operator) or _is(o, n, ast.boolop)),
    ("sign", lambda o, n, h: _is(o, n, ast.unaryop)),
    ("jump", lambda o, n, h: isinstance(o, LEAVING) and isinstance(n, LEAVING)
     and type(o) is not type(n)),
    ("guard", lambda o, n, h: o is None and isinstance(n, ast.If)
     and any(isinstance(one, LEAVING) for one in n.body)),
    ("guard", lambda o, n, h: isinstance(n, ast.If) and not isinstance(o, ast.If)),
    ("catch", lambda o, n, h: isinstance(n, ast.Try) and not isinstance(o, ast.Try)),
    ("widen", lambda o, n, h: isinstance(h, ast.ExceptHandler) and isinstance(n, ast.Tuple)),
    ("handler_class", lambda o, n, h: isinstance(h, ast.ExceptHandler | ast.Raise)
     and isinstance(n, ast.expr)),
    ("loop", lambda o, n, h: isinstance(h, ast.For | ast.comprehension)
     and isinstance(o, ast.expr) and isinstance(n, ast.expr) and _holds(n, o)),
    ("origin", lambda o, n, h: _is(o, n, ast.arguments) or isinstance(h, ast.arguments)),
    ("condition", lambda o, n, h: _tested(o, n)),
    ("condition", lambda o, n, h: isinstance(h, ast.If | ast.While | ast.IfExp | ast.BoolOp)
     and isinstance(o, ast.expr) and isinstance(n, ast.expr)),
    ("plus_minus_one", lambda o, n, h: _number(o) and _number(n)),
    ("literal", lambda o, n, h: _is(o, n, ast.Constant)),
    ("default", lambda o, n, h: _is_call_of(n, {"get", "getattr", "setdefault"})
     and isinstance(o, ast.Subscript | ast.Attribute)),
    ("default", lambda o, n, h: isinstance(n, ast.IfExp) and _holds(n, o)),
    ("encoding", lambda o, n, h: _is(o, n, ast.Call) and "encoding" in ast.dump(n)
     and "encoding" not in ast.dump(o)),
    ("call_shape", lambda o, n, h: _is(o, n, ast.Call)),
    ("conversion", lambda o, n, h: _is_call_of(n, WRAPPING) and _holds(n, o)),
    ("wrong_name", lambda o, n, h: _is(o, n, ast.Name)),
    ("method", lambda o, n, h: _is(o, n, ast.Attribute) and isinstance(h, ast.Call)),
    ("wrong_name", lambda o, n, h: _is(o, n, ast.Attribute)),
    ("unwrap", lambda o, n, h: isinstance(o, ast.expr) and isinstance(n, ast.expr)
     and _holds(o, n)),
    ("combine", lambda o, n, h: isinstance(o, ast.expr) and isinstance(n, ast.expr)
     and _holds(n, o)),
    ("return", lambda o, n, h: isinstance(h, ast.Return) and isinstance(o, ast.expr)),
    ("delete", lambda o, n, h: n is None and isinstance(o, ast.stmt)),
    ("donor", lambda o, n, h: o is None
     and isinstance(n, ast.Assign | ast.AugAssign | ast.Expr | ast.Return)),
    ("l_value", lambda o, n, h: isinstance(h, ast.Assign | ast.AugAssign)
     and isinstance(getattr(o, "ctx", None), ast.Store)),
    ("ingredient", lambda o, n, h: isinstance(o, ast.expr) and isinstance(n, ast.expr)),
)  # fmt: skip


def shape(old: ast.AST | None, new: ast.AST | None, holder: ast.AST) -> str:
    """Return the family of one difference."""
    return next((name for name, holds in RULES if holds(old, new, holder)), "")
