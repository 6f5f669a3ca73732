"""Idioms: how a project treats a missing key, an absent value, a foreign exception.

An idiom says "for this subject, in this way, the value is that": `.get("limit", 20)`,
`except (ValueError, OSError): raise BadTimestamp`, `if not rows: return []`. Two idioms
agree only when way, subject and value are the same, so they can be evidence (claims.py) and
material (defaults) alike. Belongs here: reading idioms off code. Does not belong: judging.
"""

import ast
import re
from collections.abc import Callable, Iterator

import msgspec

from selfdrive_dagster.patches.syntax import FUNCTIONS, FunctionNode, children, dotted, walk


class Idiom(msgspec.Struct, frozen=True):
    """One idiom where it stands; `place` is (class, function), `callees` what a try calls.

    `kin` says what the subject is beyond its spelling, "" when the code does not tell: a name
    of the module that is looked up in, or a parameter with its annotation and that of the
    result. `thing` is what the value stands in for, where the code tells: a table of the
    module, an attribute of the class, a call; "" for a value that answers for its function.
    """

    kind: str
    subject: str
    value: str
    line: int
    place: tuple[str, str]
    callees: frozenset[str] = frozenset()
    kin: str = ""
    thing: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What two idioms must share to agree."""
        return self.kind, self.subject, self.value


def idioms_in(
    tree: ast.AST, place: tuple[str, str] = ("", ""), around: tuple[FunctionNode, ...] = ()
) -> Iterator[Idiom]:
    """Yield the idioms of a tree in order.

    `place` is where the tree itself stands, `around` the functions it stands in.
    """
    for node in children(tree):
        inner, functions = place, around
        if isinstance(node, ast.ClassDef):
            inner = (node.name, "")
        elif isinstance(node, FUNCTIONS):
            inner, functions = (place[0], node.name), (*around, node)
        elif reader := _READERS.get(type(node)):
            kin = _kin(node, around)
            thing = _thing(node, inner[0], kin)
            for kind, subject, value, callees in reader(node):
                yield Idiom(kind, subject, value, node.lineno, inner, callees, kin, thing)  # type: ignore[attr-defined]
        if not isinstance(node, _LEAVES):
            yield from idioms_in(node, inner, functions)


def _kin(node: ast.AST, around: tuple[FunctionNode, ...]) -> str:
    """Return what the subject of an idiom is, beyond its spelling."""
    if not around:
        return ""
    if isinstance(node, ast.If):
        return _annotated(node.test, around[-1])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        base = node.func.value
        if isinstance(base, ast.Name) and not any(_binds(f, base.id) for f in around):
            return f"the module's {base.id}"
    return ""


def _thing(node: ast.AST, holder: str, kin: str) -> str:
    """Return what the value of an idiom stands in for."""
    match node:
        case ast.Call(func=ast.Attribute(value=base, attr="get" | "pop" | "setdefault")):
            return kin or _own(base, holder)
        case (
            ast.Call(args=[ast.Attribute() as base])
            | ast.BoolOp(op=ast.Or(), values=[ast.Attribute() as base, _])
        ):
            return _own(base, holder)
        # A constant answers for the function, not for the attribute: only None says "none".
        case ast.If(test=test, body=[ast.Return(value=None | ast.Constant(value=None))]):
            return _own(test, holder)
        case ast.Try():
            return _sole_call(node)
    return ""


def _own(node: ast.expr, holder: str) -> str:
    """Return an expression that reads nothing but `self`, with its class; else ""."""
    names = {inner.id for inner in walk(node) if isinstance(inner, ast.Name)}
    return f"{holder}'s {ast.unparse(node)}" if holder and names == {"self"} else ""


def _sole_call(node: ast.Try) -> str:
    """Return the one call of a try whose result every handler replaces, else ""."""
    match node.body:
        case [ast.Return(value=ast.Call() as call)]:
            start = "return "
        case [ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call)]:
            start = f"{name} = "
        case _:
            return ""
    answers = [_answer(handler.body) for handler in node.handlers]
    replaced = all(answer.startswith((start, "raise ")) for answer in answers)
    return ast.unparse(call) if replaced and dotted(call.func) else ""


def _annotated(test: ast.expr, function: FunctionNode) -> str:
    """Return `name: annotation -> annotation` of the one parameter that a test reads."""
    names = {node.id for node in walk(test) if isinstance(node, ast.Name)} - {"len"}
    spec = function.args
    for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs):
        if {argument.arg} == names and argument.annotation and function.returns:
            told = ast.unparse(argument.annotation), ast.unparse(function.returns)
            return f"{argument.arg}: {told[0]} -> {told[1]}"
    return ""


def _binds(function: FunctionNode, name: str) -> bool:
    """Say whether a function has a parameter or a local variable of this name."""
    return any(
        (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store))
        for node in walk(function)
    )


_Read = tuple[str, str, str, frozenset[str]]
_NONE: frozenset[str] = frozenset()
_LEAVES = (ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.cmpop, ast.alias)


def needle(subject: str) -> str:
    """Return the longest word of a subject: a file without it holds no idiom about it."""
    return max(re.findall(r"\w+", subject), key=len, default="")


def key_subject(base: ast.expr, key: ast.expr) -> str:
    """Return what a lookup is about: the key alone if it is a literal, else with its base."""
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return repr(key.value)
    return f"{ast.unparse(base)}[{ast.unparse(key)}]"


def _call(node: ast.Call) -> Iterator[_Read]:
    name = dotted(node.func)
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop", "setdefault"):
        if 1 <= len(node.args) <= 2 and not node.keywords:
            absent = "None" if node.func.attr == "get" else ""
            value = ast.unparse(node.args[1]) if len(node.args) == 2 else absent
            if value:
                yield node.func.attr, key_subject(node.func.value, node.args[0]), value, _NONE
    elif name == "getattr" and len(node.args) == 3 and isinstance(node.args[1], ast.Constant):
        yield "getattr", str(node.args[1].value), ast.unparse(node.args[2]), _NONE
    elif name in ("max", "min") and len(node.args) == 1:
        for keyword in node.keywords:
            if keyword.arg == "default":
                subject = f"{name}({ast.unparse(node.args[0])})"
                yield "default", subject, ast.unparse(keyword.value), _NONE


def _boolean(node: ast.BoolOp) -> Iterator[_Read]:
    first, last = node.values[0], node.values[-1]
    if isinstance(node.op, ast.Or) and len(node.values) == 2 and not dotted(last):
        if dotted(first):
            yield "or", dotted(first), ast.unparse(last), _NONE
        elif owner := looked_up(first):
            yield "lookup_or", owner, ast.unparse(last), _NONE
    elif isinstance(node.op, ast.And):
        yield from _index_tests(node)


def looked_up(node: ast.expr) -> str:
    """Return `owner[...]` of a lookup by a literal key; "" for all else."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[ast.Constant(), *_]):
            return f"{ast.unparse(owner)}[...]"
        case ast.Subscript(value=owner, slice=ast.Constant()):
            return f"{ast.unparse(owner)}[...]"
    return ""


def _index_tests(node: ast.BoolOp) -> Iterator[_Read]:
    """Yield the test that stands before an index of the same attribute, in one `and`."""
    for place, operand in enumerate(node.values):
        for inner in walk(operand):
            if isinstance(inner, ast.Subscript) and "." in (base := dotted(inner.value)):
                for atom in node.values[:place]:
                    said = ast.unparse(atom)
                    if said in (base, f"len({base}) > 0", f"len({base}) > 1"):
                        yield "index_test", ast.unparse(inner), said, _NONE


def _guard(node: ast.If) -> Iterator[_Read]:
    leaves = (ast.Return, ast.Raise, ast.Continue)
    if len(node.body) == 1 and not node.orelse and isinstance(node.body[0], leaves):
        yield "guard", ast.unparse(node.test), ast.unparse(node.body[0]), _NONE


def _handlers(node: ast.Try) -> Iterator[_Read]:
    callees = frozenset(
        name.rpartition(".")[2]
        for statement in node.body
        for call in walk(statement)
        if isinstance(call, ast.Call) and (name := dotted(call.func))
    )
    for handler in node.handlers:
        if handler.type is None:
            continue
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        subject = ", ".join(sorted(ast.unparse(kind) for kind in kinds))
        yield "handler", subject, _answer(handler.body), callees


def _answer(body: list[ast.stmt]) -> str:
    """Return what a handler does: what it raises, the cause left out, else its statements."""
    last = body[-1]
    if isinstance(last, ast.Raise) and last.exc is not None:
        return f"raise {ast.unparse(last.exc)}"
    return "; ".join(ast.unparse(statement) for statement in body)


def raised_class(answer: str) -> str:
    """Return `raise Class` of a handler's answer that raises, else the answer itself."""
    return answer.partition("(")[0] if answer.startswith("raise ") else answer


_READERS: dict[type[ast.AST], Callable[..., Iterator[_Read]]] = {
    ast.Call: _call,
    ast.BoolOp: _boolean,
    ast.If: _guard,
    ast.Try: _handlers,
}
