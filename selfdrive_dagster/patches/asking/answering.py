"""Answering: which values a draft may give where the product crashed, if strangers told the model.

Nothing (None, False, 0, what is empty), what the code gave before, or what a sibling vouches for. A
refusal may be widened and a permission narrowed, never the other way round: a stranger who makes
the product crash must not get more than before. Belongs here: expressions, before and after. Does
not belong: which statements may change (`keeping`).
"""

import ast
import builtins
from collections.abc import Collection, Iterator
from itertools import zip_longest

EMPTY_CALLS = frozenset(("set", "dict", "list", "tuple", "frozenset", "str", "bytes"))
CONVERSIONS = EMPTY_CALLS | {"int", "float", "bool", "sorted", "repr", "len", "abs", "max", "min"}
ASKING = CONVERSIONS | {"isinstance", "hasattr", "callable", "any", "all", "type", "getattr"}
ASKING_METHODS = frozenset(
    (
        *("startswith", "endswith", "strip", "lstrip", "rstrip", "lower", "upper", "count", "find"),
        *("index", "split", "partition", "rpartition", "isdigit", "isdecimal", "isnumeric"),
        *("isalpha", "isalnum", "isidentifier", "get", "keys", "values", "items"),
    )
)
BOUNDS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
FREE_KEYWORDS = frozenset(("encoding", "errors"))
_BUILTIN = frozenset(dir(builtins))
_FORKS = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)


def is_nothing(node: ast.expr | None) -> bool:
    """Say whether an expression is None, False, a zero, or empty."""
    match node:
        case None:
            return True
        case ast.Constant(value=value):
            return value is not ... and not value
        case ast.Tuple(elts=parts):
            return all(map(is_nothing, parts))
        case ast.List(elts=parts) | ast.Set(elts=parts):
            return not parts
        case ast.Dict(keys=keys):
            return not keys
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]):
            return name in EMPTY_CALLS
    return False


def is_question(node: ast.AST, known: Collection[str]) -> bool:
    """Say whether a test only looks: what it calls is harmless, or one of the calls `known`."""
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Lambda, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            return False
        if isinstance(inner, ast.Call) and not _only_looks(inner.func, known):
            return False
    return True


def _only_looks(func: ast.expr, known: Collection[str]) -> bool:
    match func:
        case ast.Name(id=name) if name in ASKING:
            return True
        case ast.Attribute(attr=name) if name in ASKING_METHODS:
            return True
    return ast.unparse(func) in known


class Answers:
    """What may be given: `vouched` are values, `known` calls, both as code is written."""

    def __init__(self, vouched: Collection[str], known: Collection[str]) -> None:
        self.vouched, self.known = vouched, known

    def may_give(self, new: ast.expr | None, old: ast.expr | None = None) -> bool:
        """Say whether a value may be given, where `old` was computed and raised."""
        if new is None or is_nothing(new) or ast.unparse(new) in self.vouched:
            return True
        if old is not None and ast.dump(new) == ast.dump(old):
            return True
        return self._chosen(new, old) or (old is not None and self._made_of(new, old))

    def may_test(self, new: ast.expr, old: ast.expr, *, refuses: bool) -> bool:
        """Say whether a branch may depend on `new`; `refuses` says that it answers with nothing."""
        if ast.dump(new) == ast.dump(old):
            return True
        wanted = ast.Or if refuses else ast.And
        if isinstance(new, ast.BoolOp) and isinstance(new.op, wanted):
            return self._adds_to(new, old)
        return not isinstance(new, ast.BoolOp) and self._alike(new, old)

    def _adds_to(self, new: ast.BoolOp, old: ast.expr) -> bool:
        """Say whether a test is the old one with more beside it."""
        same = isinstance(old, ast.BoolOp) and type(old.op) is type(new.op)
        parts = old.values if isinstance(old, ast.BoolOp) and same else [old]
        left = [ast.dump(part) for part in parts]
        for value in new.values:
            if left and ast.dump(value) == left[0]:
                left.pop(0)
            elif not is_question(value, self.known):
                return False
        return not left

    def _chosen(self, new: ast.expr, old: ast.expr | None) -> bool:
        """Say whether of several values all are nothing but one, which may be given."""
        match new:
            case ast.IfExp(test=test, body=one, orelse=other):
                pairs = ((one, other), (other, one))
                return is_question(test, self.known) and any(
                    self.may_give(a) and self.may_give(b, old) for a, b in pairs
                )
            case ast.BoolOp(op=ast.Or(), values=[first, *others]):
                return self.may_give(first, old) and all(map(self.may_give, others))
            case ast.BoolOp(op=ast.And(), values=[*tests, last]) if old is not None:
                asked = all(is_question(test, self.known) for test in tests)
                return self._adds_to(new, old) or (asked and self.may_give(last, old))
        return False

    def _made_of(self, new: ast.expr, old: ast.expr) -> bool:
        match new, old:
            case (
                ast.Call(func=ast.Attribute(value=base, attr="get"), args=[key, *default]),
                ast.Subscript(),
            ):
                there = self.may_give(base, old.value) and self.may_give(key, old.slice)
                return there and all(map(self.may_give, default))
            case ast.Call(func=ast.Name(id="getattr"), args=[base, _, default]), ast.Attribute():
                return self.may_give(base, old.value) and self.may_give(default)
            case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]), _ if (
                name in CONVERSIONS and self.may_give(inner, old)
            ):
                return True
        return self._alike(new, old) or _same_names(new, old)

    def _alike(self, new: ast.expr, old: ast.expr) -> bool:
        """Say whether two expressions have one form, and each part of the new may be given."""
        if type(new) is not type(old) or isinstance(new, (ast.Name, ast.Lambda, ast.Constant)):
            return False
        if isinstance(new, ast.Compare) and isinstance(old, ast.Compare):
            pairs = zip_longest(new.ops, old.ops)
            if not all(type(a) is type(b) or _are_bounds(a, b) for a, b in pairs):
                return False
        elif _fixed(new) != _fixed(old):
            return False
        parts, others = list(_parts(new)), list(_parts(old))
        return len(parts) == len(others) and all(map(self.may_give, parts, others))


def _are_bounds(one: ast.AST | None, other: ast.AST | None) -> bool:
    return isinstance(one, BOUNDS) and isinstance(other, BOUNDS)


def _fixed(node: ast.AST) -> list[str]:
    """Return what of an expression is no expression: operators and names."""
    fixed = [type(one).__name__ for one in ast.iter_child_nodes(node) if not _is_part(one)]
    return [*fixed, getattr(node, "attr", "")]


def _parts(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions of an expression, without what a keyword may always say."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.expr):
            yield inner
        elif isinstance(inner, ast.keyword) and not _is_free(inner):
            yield inner.value


def _is_free(keyword: ast.keyword) -> bool:
    if keyword.arg == "default":
        return is_nothing(keyword.value)
    return keyword.arg in FREE_KEYWORDS and isinstance(keyword.value, ast.Constant)


def _is_part(node: ast.AST) -> bool:
    return isinstance(node, (ast.expr, ast.keyword, ast.expr_context))


def _same_names(new: ast.expr, old: ast.expr) -> bool:
    """Say whether an expression is another one of the very same names, without a choice in it."""
    forks = any(isinstance(inner, _FORKS) or _has_default(inner) for inner in ast.walk(new))
    return not forks and _names(new) == _names(old)


def _has_default(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="get" | "pop" | "setdefault"), args=[_, _]):
            return True
        case ast.Call(func=ast.Name(id="getattr" | "next"), args=[_, _, *_]):
            return True
    return False


def _names(node: ast.AST) -> set[str]:
    found = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return found - (_BUILTIN & ASKING)
