"""Plain Python tracebacks, as they stand in logs and in `exception.stacktrace`.

Reads chains ("direct cause", "During handling"), exception groups with their pipes, repeated
frames, syntax errors, and blocks behind a line prefix such as a time stamp or a container's
name. Lines longer than MAX_LINE_CHARS and whatever else cannot be a traceback are passed over.
Redaction and rows do not belong here.
"""

import re
from collections.abc import Iterator
from datetime import datetime

import msgspec

from selfdrive_dagster.model import Frame, RaisedException
from selfdrive_dagster.telemetry.arrivals import is_library_path, split_type
from selfdrive_dagster.telemetry.bounds import MAX_CHAIN, MAX_FRAMES, label, moment, whole

MAX_LINE_CHARS = 8_000
MAX_MESSAGE_LINES = 20

_HEAD = re.compile(
    r"(?P<before>.*?)(?P<group>\+ Exception Group )?Traceback \(most recent call last\):"
)
_LINK = re.compile(
    r"\s*(?:The above exception was the direct cause of the following exception"
    r"|During handling of the above exception, another exception occurred):\s*\Z"
)
_FRAME = re.compile(
    r'  File "(?P<path>[^"]{1,1000})", line (?P<line>\d{1,9})(?:, in (?P<function>.{1,300}))?\Z'
)
_REPEATED = re.compile(r"  \[Previous line repeated (?P<times>\d{1,9}) more times?\]\Z")
_MARKS = re.compile(r"\s*[~^]+[~^\s]*\Z")
_RAISED = re.compile(
    r"(?P<type>(?:[^\W\d]\w{0,100}\.){0,12}[^\W\d]\w{0,100}(?:\.<locals>\.[^\W\d]\w{0,100})?)"
    r"(?:: (?P<value>.*)|:)?\Z"
)
_RULE = re.compile(r"\s*\+(?:-\+)?-{4,}(?: (?:\d+|\.\.\.) -{4,})?\Z")
_PIPE = re.compile(r"(\s*)(?:\| ?|\+ (?=Exception Group ))")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?")


class Traceback(msgspec.Struct, frozen=True, kw_only=True):
    """One traceback of a text: its chain, root cause first, where it began, and its own words.

    `line` counts from 1; `when` is the nearest time stamp at or just above it.
    """

    exceptions: tuple[RaisedException, ...]
    text: str
    line: int
    when: datetime | None = None


class _Piece(msgspec.Struct):
    """One exception while it is being read. `depth` counts the pipes of groups."""

    depth: int
    frames: list[Frame]
    raised: str = ""
    more: list[str] = msgspec.field(default_factory=list)


def find_tracebacks(text: str) -> tuple[Traceback, ...]:
    """Return every traceback of a text in order; () if there is none."""
    lines = text.splitlines()
    found: list[Traceback] = []
    at = 0
    while at < len(lines):
        end = at + 1
        head = _head(lines, at)
        if head is not None:
            block, end = _block(lines, at, head)
            exceptions = _exceptions(block)
            if exceptions:
                found.append(
                    Traceback(
                        exceptions=exceptions,
                        text="\n".join(block).rstrip(),
                        line=at + 1,
                        when=_time_near(lines, at),
                    )
                )
        at = end
    return tuple(found)


def _head(lines: list[str], at: int) -> int | None:
    """Return the width of the prefix if a traceback starts here, else None."""
    line = lines[at]
    if len(line) > MAX_LINE_CHARS:
        return None
    head = _HEAD.match(line) if "Traceback (most" in line else None
    if head:
        return len(head["before"]) - (2 if head["group"] and head["before"].endswith("  ") else 0)
    # A syntax error of the main file comes without a head line.
    is_syntax = line.startswith('  File "') and _FRAME.match(line) and ", in " not in line
    nearby = lines[at + 1 : at + 4]
    return 0 if is_syntax and any(_is_syntax_error(other) for other in nearby) else None


def _is_syntax_error(line: str) -> bool:
    return line.startswith(("SyntaxError", "IndentationError", "TabError"))


def _block(lines: list[str], start: int, width: int) -> tuple[list[str], int]:
    """Return the lines of one chained traceback without prefix, and the index after it."""
    shape = _shape(lines[start][:width])
    block: list[str] = []
    ended = False
    at = start
    while at < len(lines):
        line = _strip(lines[at], width, shape)
        if line is None or len(line) > MAX_LINE_CHARS:
            break
        if ended and not _continues(line):
            link = _next_link(lines, at, width, shape)
            if link is None:
                break
            block.extend(link)
            at += len(link)
            ended = False
            continue
        if at > start and _HEAD.match(line) and not _expects_head(block):
            break
        ended = _ends(block, line) or (ended and not _HEAD.match(line))
        block.append(line)
        at += 1
    return block, max(at, start + 1)


def _shape(prefix: str) -> str:
    return re.sub(r"\d", "0", prefix)


def _strip(line: str, width: int, shape: str) -> str | None:
    if width == 0:
        return line
    if _shape(line[:width]) == shape:
        return line[width:]
    # Most loggers put their prefix on the first line only.
    return line


def _continues(line: str) -> bool:
    """Say whether a line can follow a finished exception: notes, messages, group pipes."""
    return bool(re.match(r"\s+[|+]", line))


def _expects_head(block: list[str]) -> bool:
    for line in reversed(block):
        if _bare(line).strip():
            return bool(_LINK.match(_bare(line)) or _RULE.match(line))
    return True


def _next_link(lines: list[str], at: int, width: int, shape: str) -> list[str] | None:
    """Return the lines up to and with "During handling …", if that comes next."""
    taken: list[str] = []
    for raw in lines[at : at + 2 + MAX_MESSAGE_LINES]:
        line = _strip(raw, width, shape) or ""
        taken.append(line)
        if _LINK.match(_bare(line)):
            return taken
        if _HEAD.match(line) or TIME.match(line):
            return None
    return None


def _ends(block: list[str], line: str) -> bool:
    """Say whether this line is the last word of an exception: `Type: message`."""
    bare = _bare(line)
    return bool(block) and not bare.startswith(" ") and bool(_RAISED.match(bare))


def _bare(line: str) -> str:
    """Return a line without the pipes of exception groups."""
    pipe = _PIPE.match(line)
    while pipe:
        line = line[pipe.end() :]
        pipe = _PIPE.match(line) if line.lstrip().startswith("|") else None
    return line


def _depth(line: str) -> int:
    pipe = _PIPE.match(line)
    return 1 + len(pipe.group(1)) // 2 if pipe else 0


def _exceptions(block: list[str]) -> tuple[RaisedException, ...]:
    """Return the chain: causes first, the members of a group before the group itself."""
    pieces = [piece for piece in _pieces(block) if piece.raised]
    ordered: list[_Piece] = []
    for piece in pieces:
        # Members stand deeper than, and below, their group: they go before it.
        place = len(ordered)
        while place and ordered[place - 1].depth < piece.depth and _is_group(ordered[place - 1]):
            place -= 1
        ordered.insert(place, piece)
    return tuple(_raised(piece) for piece in ordered[-MAX_CHAIN:])


def _is_group(piece: _Piece) -> bool:
    return "Group" in piece.raised.split(":", 1)[0]


def _pieces(block: list[str]) -> Iterator[_Piece]:
    piece: _Piece | None = None
    for line in block:
        bare = _bare(line)
        if _RULE.match(line):
            if piece:
                yield piece
            piece = None
            continue
        if _HEAD.match(line) or _LINK.match(bare):
            if piece:
                yield piece
            piece = _Piece(depth=_depth(line), frames=[])
            continue
        if piece is None:
            piece = _Piece(depth=_depth(line), frames=[])
        _take(piece, bare)
    if piece:
        yield piece


def _take(piece: _Piece, line: str) -> None:
    """Let one line of an exception add to it."""
    frame = _FRAME.match(line)
    repeated = _REPEATED.match(line)
    if frame and not piece.raised:
        piece.frames.append(_frame(frame))
    elif repeated and piece.frames and not piece.raised:
        times = min(int(repeated["times"]), MAX_FRAMES)
        piece.frames.extend([piece.frames[-1]] * times)
    elif line.startswith("    ") and piece.frames and not piece.raised:
        last = piece.frames[-1]
        if not last.source and not _MARKS.match(line):
            piece.frames[-1] = msgspec.structs.replace(last, source=line.strip())
    elif not piece.raised and _RAISED.match(line):
        piece.raised = line
    elif piece.raised and len(piece.more) < MAX_MESSAGE_LINES:
        piece.more.append(line)
    del piece.frames[:-MAX_FRAMES]


def _frame(found: re.Match[str]) -> Frame:
    path = label(found["path"])
    function = label(found["function"])
    return Frame(
        path=path,
        function=function,
        line=whole(found["line"]) or 0,
        in_app=False if is_library_path(path) else None,
    )


def _raised(piece: _Piece) -> RaisedException:
    found = _RAISED.match(piece.raised)
    if not found:  # only lines that matched are kept as `raised`
        return RaisedException(type=label(piece.raised))
    module, bare = split_type(found["type"])
    value = "\n".join([found["value"] or "", *piece.more]).rstrip()
    return RaisedException(type=bare, module=module, value=value, frames=tuple(piece.frames))


def _time_near(lines: list[str], at: int) -> datetime | None:
    """Return the time stamp on this line or on one of the three above it."""
    for line in reversed(lines[max(0, at - 3) : at + 1]):
        found = TIME.search(line[:MAX_LINE_CHARS])
        if found:
            return moment(found.group())
    return None
