"""How values are spelled: names in reprs, in annotations, and the `<…>` that no parser takes.

Tables and small readers for `values`, which turns spellings into syntax.
"""

import ast
import re
from collections.abc import Iterator

from selfdrive_dagster.patches.syntax import dotted, last_name

BUILTIN_CALLS = frozenset({"set", "frozenset", "range", "bytearray", "slice", "complex"})

BUILTIN_TYPES = frozenset(
    [
        "int",
        "float",
        "str",
        "bytes",
        "bool",
        "list",
        "dict",
        "set",
        "frozenset",
        "tuple",
        "object",
        "type",
        "complex",
        "range",
        "Exception",
        "ValueError",
        "KeyError",
        "TypeError",
        "IndexError",
        "LookupError",
        "RuntimeError",
        "OSError",
    ]
)

STANDARD = {
    "datetime.datetime": ("datetime", "datetime"),
    "datetime.date": ("datetime", "date"),
    "datetime.time": ("datetime", "time"),
    "datetime.timedelta": ("datetime", "timedelta"),
    "datetime.timezone": ("datetime", "timezone"),
    "zoneinfo.ZoneInfo": ("zoneinfo", "ZoneInfo"),
    "Decimal": ("decimal", "Decimal"),
    "decimal.Decimal": ("decimal", "Decimal"),
    "Fraction": ("fractions", "Fraction"),
    "UUID": ("uuid", "UUID"),
    "PosixPath": ("pathlib", "Path"),
    "WindowsPath": ("pathlib", "Path"),
    "PurePosixPath": ("pathlib", "PurePosixPath"),
    "deque": ("collections", "deque"),
    "OrderedDict": ("collections", "OrderedDict"),
    "defaultdict": ("collections", "defaultdict"),
    "Counter": ("collections", "Counter"),
    "ChainMap": ("collections", "ChainMap"),
    "namespace": ("types", "SimpleNamespace"),
    "mappingproxy": ("types", "MappingProxyType"),
    "IPv4Address": ("ipaddress", "IPv4Address"),
    "IPv6Address": ("ipaddress", "IPv6Address"),
}
"""Names in reprs of the standard library: where to import them, and as what."""

OPAQUE = frozenset({"Request", "WebSocket", "HTTPConnection", "HttpRequest", "QuerySet"})
"""Annotations of objects that behave like mappings or sequences, and that no literal rebuilds."""

STANDARD_ENUMS = {"HTTPStatus": "http", "HTTPMethod": "http"}

CLASS_REPR = re.compile(r"<class '([\w.]+)'>")
FUNCTION_REPR = re.compile(r"<function ([\w.]+) at 0x[0-9a-fA-F]+>")
BUILTIN_REPR = re.compile(
    r"<built-in function (len|sum|min|max|sorted|abs|repr|any|all|round|hash)>"
)
MODULE_REPR = re.compile(r"<module '([\w.]+)' from '[^']*'>")
ENUM_REPR = re.compile(r"<([\w.]+)\.(\w+): .*>", re.DOTALL)
OBJECT_REPR = re.compile(r"<(?:[\w.]+\.)?(\w+)(?: object)? at 0x[0-9a-fA-F]+>")


def hinted(hint: ast.expr | None) -> tuple[str, list[ast.expr]]:
    """Return an annotation's bare name and its arguments; `X | None` reads as `X`."""
    match hint:
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return hinted(left)
        case ast.Constant(value=str() as text):
            try:
                return hinted(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError):
                return "", []
        case ast.Subscript(value=value, slice=ast.Tuple(elts=arguments)):
            return last_name(dotted(value)), arguments
        case ast.Subscript(value=value, slice=argument) if last_name(dotted(value)) == "Optional":
            return hinted(argument)
        case ast.Subscript(value=value, slice=argument):
            return last_name(dotted(value)), [argument]
        case ast.Name() | ast.Attribute():
            return last_name(dotted(hint)), []
    return "", []


def angles(text: str) -> Iterator[tuple[bool, str]]:
    """Split a repr into pieces inside and outside of `<…>`, quoted texts left whole."""
    at, start, depth = 0, 0, 0
    while at < len(text):
        char = text[at]
        if char in "'\"":
            at = _end_of_quoted(text, at)
            continue
        if char == "<":
            if depth == 0:
                yield False, text[start:at]
                start = at
            depth += 1
        elif char == ">" and depth:
            depth -= 1
            if depth == 0:
                yield True, text[start : at + 1]
                start = at + 1
        at += 1
    yield False, text[start:]


def _end_of_quoted(text: str, at: int) -> int:
    quote, at = text[at], at + 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return at + 1
