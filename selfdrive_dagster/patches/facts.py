"""What is known of the values at a site: from the crash, from annotations, from the code.

Values recorded at the raise beat annotations, and annotations beat what the code suggests.
A type is the name of a built-in or standard class; `""` means unknown, which filters
nothing. Belongs here: types, observed values, the clues of an exception's message.
"""

import ast
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from selfdrive_dagster.model import Diagnosis
from selfdrive_dagster.patches.syntax import KEPT, FunctionNode, Module, dotted, walk

UNKNOWN = object()
"""No value was observed; None is a value."""


class Facts(msgspec.Struct, frozen=True):
    """Types and values by spelling (`xs`, `self.items`), and the exception's clues."""

    exception: str
    message: str
    types: Mapping[str, str]
    values: Mapping[str, Any]
    clues: Mapping[str, str]

    def value(self, spelling: str) -> Any:
        """Return the value seen at the raise, or UNKNOWN."""
        return self.values.get(spelling, UNKNOWN)

    def type_of(self, node: ast.AST) -> str:
        """Return the type an expression most likely has, `""` when nothing tells."""
        return infer(node, self.types)


# What an exception's message gives away; the first pattern that matches wins.
CLUES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern)
    for pattern in (
        r"'NoneType' object has no attribute '(?P<none_attribute>\w+)'",
        r"'(?P<type>[\w.]+)' object has no attribute '(?P<attribute>\w+)'",
        r"module '(?P<module>[\w.]+)' has no attribute '(?P<attribute>\w+)'",
        r"(?P<none>'NoneType'|NoneType)",
        r"can only concatenate (?P<wanted>\w+)",
        r"expected (?P<wanted>str) instance",
        r"got an unexpected keyword argument '(?P<unexpected>\w+)'",
        r"missing \d+ required (?:positional|keyword-only) arguments?: '(?P<missing>\w+)'",
        r"name '(?P<name>\w+)' is not defined",
        r"local variable '(?P<name>\w+)' ",
        r"^(?P<empty>(?:max|min)\(\)) ",
        r"(?P<empty>empty (?:sequence|set|dictionary|list))",
        r"(?P<unpack>values to unpack)",
    )
)


def read_clues(exception: str, message: str) -> dict[str, str]:
    """Return the named clues of a message: attribute, key, name, unexpected, missing …"""
    if exception == "KeyError":
        return {"key": message} if message else {}
    for pattern in CLUES:
        if found := pattern.search(message):
            return {name: text for name, text in found.groupdict().items() if text}
    return {}


def gather(diagnosis: Diagnosis, module: Module, function: FunctionNode | None) -> Facts:
    """Return all that is known inside one function of a module."""
    message = diagnosis.words
    exception = diagnosis.exception_type.rpartition(".")[2]
    values = _observed(diagnosis, module.qualname(function))
    types = _annotated(module, function) | {name: kind_of(value) for name, value in values.items()}
    return Facts(exception, message, types, values, read_clues(exception, message))


def _observed(diagnosis: Diagnosis, qualified: str) -> dict[str, Any]:
    """Return the literal values that telemetry recorded for a function's names."""
    simple = qualified.rpartition(".")[2]
    values: dict[str, Any] = {}
    for frame in diagnosis.crash.raised.frames if diagnosis.crash else ():
        if frame.function.rpartition(".")[2] == simple:
            values |= {name: _read(text) for name, text in (frame.variables or {}).items()}
    for given in diagnosis.inputs:
        if given.function == qualified and given.expression is not None:
            values[given.name] = _read(given.expression)
    return {name: value for name, value in values.items() if value is not UNKNOWN}


def _read(value: Any) -> Any:
    """Return what a recorded repr stands for: a literal, or UNKNOWN."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return UNKNOWN


def kind_of(value: Any) -> str:
    """Return the type name of an observed value; None's is `None`."""
    return "None" if value is None else type(value).__name__


@lru_cache(maxsize=KEPT)
def _annotated(module: Module, function: FunctionNode | None) -> dict[str, str]:
    """Return the types that annotations and assignments give to names and attributes."""
    types: dict[str, str] = {}
    holder = module.class_of(function) if function else None
    for scope in (holder, function):
        for node in walk(scope) if scope else ():
            _note(node, types)
    if function:
        for arg in _arguments(function):
            types[arg.arg] = _annotation(arg.annotation)
    return {name: kind for name, kind in types.items() if kind}


def _arguments(function: FunctionNode) -> list[ast.arg]:
    args = function.args
    return [*args.posonlyargs, *args.args, *args.kwonlyargs]


def parameters(function: FunctionNode) -> list[str]:
    """Return all parameter names of a function, in order, starred ones last."""
    starred = [arg for arg in (function.args.vararg, function.args.kwarg) if arg]
    return [arg.arg for arg in (*_arguments(function), *starred)]


def _note(node: ast.AST, types: dict[str, str]) -> None:
    """Note what one assignment says; names that are given two types become unknown."""
    pairs: list[tuple[ast.expr, str]] = []
    if isinstance(node, ast.AnnAssign):
        pairs = [(node.target, _annotation(node.annotation))]
    elif isinstance(node, ast.Assign):
        pairs = [(target, infer(node.value, types)) for target in node.targets]
    elif isinstance(node, ast.For):
        pairs = [(node.target, "int" if _is_range(node.iter) else "")]
    for target, kind in pairs:
        if name := dotted(target):
            types[name] = kind if types.get(name, kind) == kind else ""


def _is_range(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"
    )


def number_of(node: ast.expr) -> int | None:
    """Return the value of an integer literal, its minus sign counted; None for all else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = number_of(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None


_SHAPES: dict[type[ast.AST], str] = {
    ast.JoinedStr: "str", ast.List: "list", ast.ListComp: "list", ast.Dict: "dict",
    ast.DictComp: "dict", ast.Set: "set", ast.SetComp: "set", ast.Tuple: "tuple",
    ast.Compare: "bool",
}  # fmt: skip
_ALIASES = {"List": "list", "Dict": "dict", "Set": "set", "Tuple": "tuple", "Text": "str"}
_BUILT_IN = "int float str bytes bool list dict set tuple frozenset complex"
_TYPES = frozenset(_BUILT_IN.split())
_RETURNED = {
    "int": "len ord hash id round find rfind index count toordinal",
    "str": "repr chr hex format strip lstrip rstrip lower upper replace join decode title "
    "capitalize zfill ljust rjust strftime isoformat",
    "list": "sorted split rsplit splitlines readlines findall",
    "bool": "isinstance any all startswith endswith isdigit issubclass",
    "tuple": "partition rpartition groups",
    "bytes": "encode",
}
_RETURNS = {name: kind for kind, names in _RETURNED.items() for name in names.split()}
DATED = {
    "datetime.now": "datetime", "datetime.utcnow": "datetime", "datetime.fromtimestamp": "datetime",
    "datetime.strptime": "datetime", "datetime.combine": "datetime", "date.today": "date",
}  # fmt: skip


def infer(node: ast.AST, types: Mapping[str, str]) -> str:
    """Return the type of an expression from its shape and the types of names."""
    if isinstance(node, ast.Constant):
        return kind_of(node.value)
    if name := dotted(node):
        return types.get(name, "")
    if isinstance(node, ast.Call):
        return _called(node)
    if isinstance(node, ast.BinOp):
        return _combined(node, types)
    if isinstance(node, ast.UnaryOp):
        return "bool" if isinstance(node.op, ast.Not) else infer(node.operand, types)
    if isinstance(node, ast.IfExp):
        left, right = infer(node.body, types), infer(node.orelse, types)
        return left if left == right else ""
    if isinstance(node, ast.Subscript):
        outer = infer(node.value, types)
        sliced = isinstance(node.slice, ast.Slice)
        return outer if outer == "str" or (sliced and outer in _TYPES) else ""
    return _SHAPES.get(type(node), "")


def _called(node: ast.Call) -> str:
    name = dotted(node.func)
    if name in _TYPES or name in ("datetime", "date", "timedelta", "Path", "Decimal"):
        return name or ""
    for tail, kind in DATED.items():
        if name and (name == tail or name.endswith("." + tail)):
            return kind
    last = node.func.attr if isinstance(node.func, ast.Attribute) else name
    return _RETURNS.get(last or "", "")


def _combined(node: ast.BinOp, types: Mapping[str, str]) -> str:
    left, right = infer(node.left, types), infer(node.right, types)
    if isinstance(node.op, ast.Mod) and left == "str":
        return "str"
    if isinstance(node.op, ast.Div) and {left, right} <= {"int", "float"}:
        return "float"
    return left if left == right else ""


def _annotation(node: ast.expr | None) -> str:
    """Return the built-in type an annotation names; optional ones are unknown."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return _annotation(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return ""
    if isinstance(node, ast.Subscript):
        return _annotation(node.value)
    name = dotted(node).rpartition(".")[2] if node else ""
    name = _ALIASES.get(name, name)
    return name if name in _TYPES or name in ("datetime", "date", "time", "Path") else ""
