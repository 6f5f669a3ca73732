"""Minimal text edits by source span, and unified diffs that apply exactly or not at all.

A patch is text: whatever an edit does not touch (comments, spacing, line ends, encodings of
names) stays byte for byte. Belongs here: offsets, edits, rendering and applying diffs. Does
not belong: what to edit, and why.

Offsets count characters of the text. `ast` counts columns in UTF-8 bytes and lines by
`\\n`, `\\r\\n` and `\\r` alone, so `str.splitlines` (which also splits at form feeds) must
not be used to find them.
"""

import ast
import difflib
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import PurePosixPath

import msgspec
from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from selfdrive_dagster.errors import BadInput

_LINE_END = re.compile(r"\r\n|\r|\n")
_PYTHON_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_DIFF_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_NO_NEWLINE = "\\ No newline at end of file\n"
_NOWHERE = "/dev/null"
_CONTEXT = 3
_REMEDY = "Make the patch against this very revision; context is never matched loosely."


class Edit(msgspec.Struct, frozen=True, order=True):
    """Replace `text[start:end]` by `new`; offsets in characters."""

    start: int
    end: int
    new: str


Spanned = ast.expr | ast.stmt | ast.excepthandler | ast.keyword | ast.alias


class Lines:
    """Where the lines of a text start, so that `ast` positions become offsets."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The parser takes no byte order mark; whoever parses skips it, and so do we.
        first = 1 if text.startswith("\ufeff") else 0
        self.starts = [first, *(end.end() for end in _LINE_END.finditer(text))]
        self._is_ascii = text.isascii()

    def __len__(self) -> int:
        return len(self.starts)

    def bounds(self, line: int) -> tuple[int, int]:
        """Return start and end of a line (from 1), its line end left out."""
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        return start, start + len(self.text[start:end].rstrip("\r\n"))

    def line(self, line: int) -> str:
        """Return the text of a line (from 1), its line end left out."""
        return self.text[slice(*self.bounds(line))]

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a line (from 1) and a column in UTF-8 bytes."""
        start = self.starts[line - 1]
        if self._is_ascii:
            return start + column
        return start + len(self.line(line).encode()[:column].decode())

    def span(
        self, node: ast.expr | ast.stmt | ast.excepthandler | ast.keyword | ast.alias
    ) -> slice:
        """Return the span of a node; `text[span]` is its source."""
        if node.end_lineno is None or node.end_col_offset is None:
            raise ValueError("only nodes that the parser made have a span")
        start = self.offset(node.lineno, node.col_offset)
        return slice(start, self.offset(node.end_lineno, node.end_col_offset))


def apply_edits(source: str, edits: Iterable[Edit]) -> str:
    """Return the text with all edits made. Raises ValueError when two overlap.

    Edits at one place apply in the order of their texts, so the result never depends on the
    order in which they came.
    """
    ordered = sorted(edits)
    if any(before.end > after.start for before, after in pairwise(ordered)):
        raise ValueError("edits overlap")
    pieces, at = [], 0
    for edit in ordered:
        pieces += [source[at : edit.start], edit.new]
        at = edit.end
    return "".join([*pieces, source[at:]])


def render_diff(path: str, old: str | None, new: str | None) -> str:
    """Return the unified diff of one file, `""` when equal. None means it does not exist."""
    if old == new:
        return ""
    source = _NOWHERE if old is None else f"a/{path}"
    target = _NOWHERE if new is None else f"b/{path}"
    first, before, after = _around(old or "", new or "")
    hunks = "".join(_render_hunk(first, before, after, group) for group in _groups(before, after))
    return f"--- {source}\n+++ {target}\n{hunks}" if hunks else ""


def _around(old: str, new: str) -> tuple[int, list[str], list[str]]:
    """Return the lines in which two texts differ with their context, and how many come before."""
    start = shared(old, new)
    tail = shared_end(old, new, start)
    begin = start + 1
    for _ in range(_CONTEXT + 1):
        begin = old.rfind("\n", 0, max(0, begin - 1)) + 1
    stop = len(old) - tail
    for _ in range(_CONTEXT + 1):
        stop = (old.find("\n", stop) + 1) or len(old)
    end = stop + len(new) - len(old)
    return old.count("\n", 0, begin), _split(old[begin:stop]), _split(new[begin:end])


def _split(text: str) -> list[str]:
    """Return the lines of a diff: they end at `\n` only, carriage returns are content."""
    return _DIFF_LINE.findall(text)


def rows(text: str) -> list[str]:
    """Return the lines that Python reads in a text, with their ends."""
    return _PYTHON_LINE.findall(text)


def changed_lines(old: str, new: str) -> int:
    """Count the lines that go and come, by the line ends that Python knows."""
    before, after = rows(old), rows(new)
    codes = [code for group in _groups(before, after) for code in group if code[0] != "equal"]
    return sum((i2 - i1) + (j2 - j1) for _, i1, i2, j1, j2 in codes)


_Codes = list[tuple[str, int, int, int, int]]


def _groups(before: list[str], after: list[str]) -> list[_Codes]:
    """Return the groups of opcodes, comparing only what lies between equal ends."""
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    rest = shorter - head
    tail = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    old_middle, new_middle = before[head : len(before) - tail], after[head : len(after) - tail]
    matcher = difflib.SequenceMatcher(None, old_middle, new_middle, autojunk=False)
    codes: _Codes = [
        (tag, i1 + head, i2 + head, j1 + head, j2 + head)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
    ]
    lead, trail = min(_CONTEXT, head), min(_CONTEXT, tail)
    codes.insert(0, ("equal", head - lead, head, head - lead, head))
    end_old, end_new = len(before) - tail, len(after) - tail
    codes.append(("equal", end_old, end_old + trail, end_new, end_new + trail))
    return _cut(codes)


def _cut(codes: _Codes) -> list[_Codes]:
    """Cut a run of opcodes wherever more than two contexts of equal lines lie between."""
    groups: list[_Codes] = [[]]
    for tag, i1, i2, j1, j2 in codes:
        inner = i2 - i1 > 0 and groups[-1] and tag == "equal"
        if inner and i2 - i1 > 2 * _CONTEXT:
            groups[-1].append((tag, i1, i1 + _CONTEXT, j1, j1 + _CONTEXT))
            groups.append([(tag, i2 - _CONTEXT, i2, j2 - _CONTEXT, j2)])
        else:
            groups[-1].append((tag, i1, i2, j1, j2))
    return [group for group in groups if any(code[0] != "equal" for code in group)]


def _render_hunk(first: int, before: list[str], after: list[str], group: _Codes) -> str:
    old_range = _range(first + group[0][1], first + group[-1][2])
    new_range = _range(first + group[0][3], first + group[-1][4])
    rows = [f"@@ -{old_range} +{new_range} @@\n"]
    for tag, i1, i2, j1, j2 in group:
        if tag == "equal":
            rows += [_row(" ", line) for line in before[i1:i2]]
        else:
            rows += [_row("-", line) for line in before[i1:i2]]
            rows += [_row("+", line) for line in after[j1:j2]]
    return "".join(rows)


def _range(start: int, stop: int) -> str:
    length = stop - start
    first = start if length == 0 else start + 1
    return f"{first}" if length == 1 else f"{first},{length}"


def _row(sign: str, line: str) -> str:
    return sign + line if line.endswith("\n") else f"{sign}{line}\n{_NO_NEWLINE}"


def apply_patch(read: Callable[[str], str], patch: str) -> dict[str, str | None]:
    """Return the new text of every file a patch touches; None for one that it deletes.

    `read` returns a file's text and raises OSError when there is none. Raises BadInput,
    naming file and hunk, for junk, paths that leave the tree, binary files, renames, links,
    and for context that is not exactly where the patch says.
    """
    try:
        files = PatchSet(patch)
    except UnidiffParseError as error:
        raise BadInput(f"The patch cannot be read: {error}", remedy=_REMEDY) from error
    if not files or not patch.strip():
        raise BadInput("The patch changes no file.", remedy="Give a unified diff.")
    overlay: dict[str, str | None] = {}
    for file in files:
        path = _safe_path(file)
        if path in overlay:
            raise BadInput(f"The patch names {path} twice.", remedy=_REMEDY)
        overlay[path] = _apply_file(read, path, file)
    return overlay


def _safe_path(file: PatchedFile) -> str:
    path = str(file.path)
    parts = PurePosixPath(path).parts
    leaves = not parts or path.startswith("/") or "\\" in path or ".." in parts or ".git" in parts
    if leaves or not path.isprintable():
        raise BadInput(f"The patch names {path!r}, which is outside the tree.", remedy=_REMEDY)
    if file.is_binary_file or file.is_rename or file.is_symlink or file.is_submodule:
        raise BadInput(f"The patch does more to {path} than change its text.", remedy=_REMEDY)
    return path


def _apply_file(read: Callable[[str], str], path: str, file: PatchedFile) -> str | None:
    there = _read_old(read, path)
    if there is None and file.source_file != _NOWHERE:
        raise BadInput(f"The patch changes {path}, which is not there.", remedy=_REMEDY)
    if there is not None and file.source_file == _NOWHERE:
        raise BadInput(f"The patch creates {path}, which is there already.", remedy=_REMEDY)
    old = _split(there or "")
    new, at = [], 0
    for number, hunk in enumerate(file, start=1):
        source, target = _sides(hunk)
        start = hunk.source_start - 1 if source else hunk.source_start
        if start < at or old[start : start + len(source)] != source:
            raise BadInput(f"Hunk {number} of {path} does not fit the file.", remedy=_REMEDY)
        new += [*old[at:start], *target]
        at = start + len(source)
    if file.target_file == _NOWHERE:
        if at != len(old) or new:
            raise BadInput(f"The patch deletes {path} without all of its lines.", remedy=_REMEDY)
        return None
    return "".join([*new, *old[at:]])


def _read_old(read: Callable[[str], str], path: str) -> str | None:
    try:
        return read(path)
    except OSError:
        return None
    except UnicodeDecodeError as error:
        raise BadInput(f"The patch changes {path}, which is not UTF-8.", remedy=_REMEDY) from error


def _sides(hunk: Hunk) -> tuple[list[str], list[str]]:
    """Return a hunk's old and new lines, newline markers obeyed."""
    source: list[str] = []
    target: list[str] = []
    touched: tuple[list[str], ...] = ()
    for line in hunk:
        if line.line_type == "\\":
            for side in touched:
                side[-1] = side[-1].removesuffix("\n")
            continue
        value = str(line.value)
        touched = (source,) if line.is_removed else (target,) if line.is_added else (source, target)
        for side in touched:
            side.append(value)
    return source, target


def shared(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike, by comparing whole parts."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def shared_end(one: str, other: str, start: int) -> int:
    """Return how many characters two texts end with alike, of those behind `start`."""
    low, high = 0, min(len(one), len(other)) - start
    while low < high:
        middle = (low + high + 1) // 2
        if one[-middle : len(one) - low] == other[-middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low
