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
import itertools
import os
import types
from typing import NamedTuple

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class Edit(NamedTuple):
    """A change of a file: `text` stands for what it holds from character `start` to `stop`."""

    start: int
    stop: int
    text: str


class Span(NamedTuple):
    """Where a function stands: its first line, its characters, and its classes' heads."""

    line: int
    start: int
    stop: int
    heads: tuple[str, ...]


class Layout(NamedTuple):
    """A file as it was imported: its text and the functions outside of functions."""

    path: str
    source: str
    spans: tuple[Span, ...]
    flags: int

    def edited(self, edit: Edit) -> str:
        """Return the whole new text."""
        return f"{self.source[: edit.start]}{edit.text}{self.source[edit.stop :]}"


def layout(path: str, source: str) -> Layout:
    """Read a file's text once. `path` is made absolute, as an import would."""
    tree = ast.parse(source)
    lines = _lines(source)
    starts = (0, *itertools.accumulate(map(len, lines)))
    return Layout(
        path=os.path.abspath(path),
        source=source,
        spans=tuple(_spans(tree.body, (), lines, starts)),
        flags=_future(tree),
    )


def edit_of(old: str, new: str) -> Edit:
    """Return the change that makes one text of another."""
    start = _shared(old, new)
    tail = _shared(old[start:][::-1], new[start:][::-1])
    return Edit(start, len(old) - tail, new[start : len(new) - tail])


def compile_pair(old: Layout, edit: Edit) -> tuple[types.CodeType, types.CodeType]:
    """Return module code before and after, of one function where that is all that changed.

    Raises SyntaxError or ValueError where the new text is no Python.
    """
    span = _around(old, edit)
    if span is not None:
        start, stop = old.source[span.start : edit.start], old.source[edit.stop : span.stop]
        try:
            after = _compile(_alone(span, f"{start}{edit.text}{stop}"), old.path, old.flags)
            text = old.source[span.start : span.stop]
            before = _compiled(_alone(span, text), old.path, old.flags)
        except SyntaxError:
            pass  # only the whole file can tell what it is
        else:
            return before, after
    return (
        _compiled(old.source, old.path, old.flags),
        _compile(old.edited(edit), old.path, old.flags),
    )


def _compile(text: str, path: str, flags: int) -> types.CodeType:
    code: types.CodeType = compile(text, path, "exec", flags=flags, dont_inherit=True)
    return code


_compiled = functools.lru_cache(maxsize=64)(_compile)
"""For what stood there before: it is the same for most candidates."""


def _alone(span: Span, text: str) -> str:
    """Return a function's text with its classes' heads before it, on the lines where it stood."""
    padding = "\n" * (span.line - 1 - len(span.heads))
    return f"{padding}{''.join(span.heads)}{text}"


def _around(old: Layout, edit: Edit) -> Span | None:
    """Return the function that holds a whole change.

    What comes right before or behind a function is not inside it.
    """
    inside = (one for one in old.spans if one.start < edit.start and edit.stop < one.stop)
    return next(inside, None)


def _shared(one: str, other: str) -> int:
    """Return with how many equal characters two texts begin, by comparing whole parts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _spans(
    body: list[ast.stmt], heads: tuple[str, ...], lines: tuple[str, ...], starts: tuple[int, ...]
) -> list[Span]:
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
            found += _spans(one.body, (*heads, f"{indent}class {one.name}:\n"), lines, starts)
        else:
            found.append(Span(first, starts[first - 1], starts[last], heads))
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
