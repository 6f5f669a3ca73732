"""Compile only the function that a candidate changes, not its whole file.

Compiling a file of a thousand lines costs ten milliseconds, compiling one function of it less
than one, and a zygote does it for every candidate. A *fragment* is the innermost function that
stands on whole lines and holds the whole change, with the heads of its classes before it and its
line numbers as they are. Where there is none, the two files are compiled.

Belongs here: cutting and compiling. Does not belong: what is done with the code (`live`).
"""

from __future__ import annotations
import __future__

import ast
import functools
import io
import os
import types
from typing import NamedTuple

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class Span(NamedTuple):
    """Where a function stands: lines counted from 1, both ends included, and its classes' heads."""

    first: int
    last: int
    heads: tuple[str, ...]


class Layout(NamedTuple):
    """A file as it was imported: its text, its lines and the functions outside of functions."""

    path: str
    source: str
    lines: tuple[str, ...]
    spans: tuple[Span, ...]
    flags: int


def layout(path: str, source: str) -> Layout:
    """Read a file's text once. `path` is made absolute, as an import would."""
    lines = _lines(source)
    tree = ast.parse(source)
    return Layout(
        path=os.path.abspath(path),
        source=source,
        lines=lines,
        spans=tuple(_spans(tree.body, (), lines)),
        flags=_future(tree),
    )


def compile_pair(old: Layout, new_source: str) -> tuple[types.CodeType, types.CodeType]:
    """Return module code before and after, of one function where that is all that changed.

    Raises SyntaxError or ValueError where the new text is no Python.
    """
    lines = _lines(new_source)
    span, grown = _changed(old, lines)
    if span is not None:
        try:
            before = _compiled(_cut(old.lines, span, span.last), old.path, old.flags)
            after = _compile(_cut(lines, span, span.last + grown), old.path, old.flags)
        except SyntaxError:
            pass  # only the whole file can tell what it is
        else:
            return before, after
    return (
        _compiled(old.source, old.path, old.flags),
        _compile(new_source, old.path, old.flags),
    )


def _compile(text: str, path: str, flags: int) -> types.CodeType:
    code: types.CodeType = compile(text, path, "exec", flags=flags, dont_inherit=True)
    return code


_compiled = functools.lru_cache(maxsize=64)(_compile)
"""For what stood there before: it is the same for most candidates."""


def _cut(lines: tuple[str, ...], span: Span, last: int) -> str:
    """Return a function alone, its classes' heads before it, on the lines where it stood."""
    padding = "\n" * (span.first - 1 - len(span.heads))
    return padding + "".join(span.heads) + "".join(lines[span.first - 1 : last])


def _changed(old: Layout, lines: tuple[str, ...]) -> tuple[Span | None, int]:
    """Return the function that holds every changed line, and by how many lines it has grown.

    A line added right before or behind a function is not inside it.
    """
    same = _shared(old.lines, lines)
    behind = _shared(old.lines[same:][::-1], lines[same:][::-1])
    first, last = same + 1, len(old.lines) - behind
    grown = len(lines) - len(old.lines)
    for span in old.spans:
        if span.first <= min(first, last) and max(first, last) <= span.last:
            return span, grown
    return None, 0


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return with how many equal lines two texts begin, by comparing whole parts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _spans(body: list[ast.stmt], heads: tuple[str, ...], lines: tuple[str, ...]) -> list[Span]:
    found: list[Span] = []
    for number, one in enumerate(body):
        if not isinstance(one, (*Function, ast.ClassDef)):
            continue
        first = min([one.lineno, *(each.lineno for each in one.decorator_list)])
        last = one.end_lineno or one.lineno
        neighbours = [body[n] for n in (number - 1, number + 1) if 0 <= n < len(body)]
        if any(_shares(each, first, last) for each in neighbours) or first - 1 < len(heads):
            continue
        if isinstance(one, ast.ClassDef):
            indent = lines[one.lineno - 1][: one.col_offset]
            found += _spans(one.body, (*heads, f"{indent}class {one.name}:\n"), lines)
        else:
            found.append(Span(first, last, heads))
    return found


def _shares(other: ast.stmt, first: int, last: int) -> bool:
    """Say whether a statement stands on the first or last line of its neighbour."""
    return other.lineno <= last and (other.end_lineno or other.lineno) >= first


def _future(tree: ast.Module) -> int:
    """Return the flags of what a file imports from `__future__`."""
    flags = 0
    for one in tree.body:
        if isinstance(one, ast.ImportFrom) and one.module == "__future__":
            for name in one.names:
                flags |= getattr(__future__, name.name).compiler_flag
    return flags


def _lines(text: str) -> tuple[str, ...]:
    """Cut where Python cuts: at line feeds and carriage returns, at nothing else."""
    return tuple(io.StringIO(text, newline=""))
