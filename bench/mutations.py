"""Single edits that may make a healthy program crash: one AST node each, the text otherwise kept.

Each edit is a slip that people make: a forgotten guard, default, conversion or exception class.
"""

import ast
from collections.abc import Callable, Iterator

import msgspec

CONVERSIONS = ("int", "str", "float", "Decimal", "tuple", "list", "dict", "round")


class Mutation(msgspec.Struct, frozen=True, kw_only=True):
    """One edit of one file: what was done, where, and the file's new text."""

    kind: str
    path: str
    line: int
    was: str
    becomes: str
    source: str


def mutations(path: str, text: str) -> Iterator[Mutation]:
    """Yield every single edit of a file that still compiles, in the order of its nodes."""
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    raw = text.encode()
    for node in ast.walk(ast.parse(text)):
        for kind, edit in EDITS:
            for target, new in edit(node):
                start = starts[target.lineno - 1] + target.col_offset
                stop = starts[target.end_lineno - 1] + target.end_col_offset
                source = (raw[:start] + new.encode() + raw[stop:]).decode()
                was = raw[start:stop].decode()
                if compiles(source) and new != was:
                    yield Mutation(
                        kind=kind, path=path, line=target.lineno, was=was, becomes=new,
                        source=source,
                    )  # fmt: skip


def compiles(source: str) -> bool:
    """Say whether a text is Python."""
    try:
        compile(source, "<mutant>", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


Edit = Callable[[ast.AST], Iterator[tuple[ast.AST, str]]]


def guard_dropped(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Drop an `if` whose only statement leaves."""
    match node:
        case ast.If(body=[ast.Return() | ast.Raise() | ast.Continue()], orelse=[]):
            yield node, "pass"


def condition_halved(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Leave one operand of `and` or `or` (a default among them), or one branch of an `if`."""
    if isinstance(node, ast.BoolOp):
        for left_out in range(len(node.values)):
            kept = [value for place, value in enumerate(node.values) if place != left_out]
            word = " or " if isinstance(node.op, ast.Or) else " and "
            yield node, "(" + word.join(f"({ast.unparse(value)})" for value in kept) + ")"
    if isinstance(node, ast.IfExp):
        yield node, f"({ast.unparse(node.body)})"


def lookup_made_strict(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Turn `.get(k)` and `.get(k, d)` into `[k]`."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[key, *_], keywords=[]):
            yield node, f"{ast.unparse(owner)}[{ast.unparse(key)}]"


def conversion_dropped(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Turn `int(x)` into `x`."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[given], keywords=[]) if name in CONVERSIONS:
            yield node, f"({ast.unparse(given)})"


def exception_narrowed(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Catch one class less, or a class that does not come."""
    if isinstance(node, ast.ExceptHandler) and node.type is not None:
        if isinstance(node.type, ast.Tuple):
            for kind in node.type.elts:
                yield node.type, ast.unparse(kind)
        else:
            yield node.type, "KeyError" if ast.unparse(node.type) != "KeyError" else "IndexError"


def none_returned(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Return None where there was a value."""
    if isinstance(node, ast.Return) and node.value is not None:
        yield node.value, "None"


def index_shifted(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Be off by one in an index, a slice or a range."""
    spots: list[ast.AST | None] = []
    if isinstance(node, ast.Subscript):
        spots = [node.slice]
        if isinstance(node.slice, ast.Slice):
            spots = [node.slice.lower, node.slice.upper]
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
        spots = list(node.args)
    for spot in spots:
        if isinstance(spot, ast.Constant) and type(spot.value) is int:
            yield spot, str(spot.value + 1)


def key_mistaken(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Misspell a literal key."""
    match node:
        case ast.Subscript(slice=ast.Constant(value=str() as key) as spot):
            yield spot, repr(key + "s")


def handler_dropped(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Forget a `try` around one statement."""
    match node:
        case ast.Try(body=[only], finalbody=[]):
            yield node, ast.unparse(only).replace("\n", "\n" + " " * node.col_offset)


def test_turned(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Turn a test round, or shift its boundary."""
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            yield node, f"({ast.unparse(inner)})"
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            for new in TURNED.get(type(operator), ()):
                yield node, f"({ast.unparse(left)} {new} {ast.unparse(right)})"


TURNED: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.Lt: ("<=",),
    ast.LtE: ("<",),
    ast.Gt: (">=",),
    ast.GtE: (">",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}


def argument_forgotten(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Give None where a call needs a value, or leave a keyword argument out."""
    if isinstance(node, ast.Call):
        for given in node.args:
            if not isinstance(given, (ast.Constant, ast.Starred, ast.GeneratorExp)):
                yield given, "None"
        for keyword in node.keywords:
            kept = [one for one in node.keywords if one is not keyword]
            yield node, ast.unparse(ast.Call(func=node.func, args=node.args, keywords=kept))


def call_dropped(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Turn `text.strip()` into `text`."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner), args=[], keywords=[]):
            yield node, f"({ast.unparse(owner)})"


def error_mistaken(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Raise a class that nobody answers."""
    match node:
        case ast.Raise(exc=ast.Call(args=[*_, told])):
            yield node.exc, f"ValueError({ast.unparse(told)})"


def encoding_narrowed(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Write text in an encoding that does not hold all of it."""
    if isinstance(node, ast.Constant) and node.value == "utf-8":
        yield node, '"ascii"'


EDITS: tuple[tuple[str, Edit], ...] = (
    ("guard dropped", guard_dropped),
    ("condition halved", condition_halved),
    ("lookup made strict", lookup_made_strict),
    ("conversion dropped", conversion_dropped),
    ("exception narrowed", exception_narrowed),
    ("None returned", none_returned),
    ("index shifted", index_shifted),
    ("key mistaken", key_mistaken),
    ("handler dropped", handler_dropped),
    ("test turned", test_turned),
    ("argument forgotten", argument_forgotten),
    ("call dropped", call_dropped),
    ("error mistaken", error_mistaken),
    ("encoding narrowed", encoding_narrowed),
)
