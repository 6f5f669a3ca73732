"""Text logs: lines with a level as Python's loggers and servers write them, and tracebacks.

`HEADS` are the beginnings of a record that we know; lines without one belong to the record above
them, up to MAX_BODY_LINES. A traceback belongs to the record that it follows, else it is one.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import msgspec

from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals
from selfdrive_dagster.telemetry.bounds import check_rows, label, moment
from selfdrive_dagster.telemetry.logs.entry import Entry, records_of
from selfdrive_dagster.telemetry.rows import Records
from selfdrive_dagster.telemetry.stacktrace import MAX_LINE_CHARS, TIME, Traceback, find_tracebacks

MAX_BODY_LINES = 20

_WHEN = rf"(?P<when>{TIME.pattern}(?: ?[+-]\d\d:?\d\d)?)"
_LEVEL = (
    r"(?P<level>TRACE|DEBUG|INFO|NOTICE|SUCCESS|WARNING|WARN|ERROR|EXCEPTION|CRITICAL|FATAL"
    r"|debug|info|warning|warn|error|critical|fatal)"
)
_LOGGER = r"(?P<logger>[^\W\d][\w.-]{0,200})"
_BODY = r"(?P<body>.*)\Z"

HEADS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("loguru", rf"{_WHEN} +\| {_LEVEL} +\| (?P<logger>[^ ]{{1,200}}) - {_BODY}"),
        ("flask", rf"\[{_WHEN}\] {_LEVEL} in {_LOGGER}: {_BODY}"),
        ("gunicorn", rf"\[{_WHEN}\] \[\d+\] \[{_LEVEL}\] {_BODY}"),
        ("dashes", rf"{_WHEN} +- {_LOGGER} - {_LEVEL} - {_BODY}"),
        ("logger first", rf"{_WHEN} +\[?{_LOGGER}\]? \[?{_LEVEL}\]?:? {_BODY}"),
        (
            "level first",
            rf"{_WHEN},? +\[?{_LEVEL} *\]?:?(?: \[?\d+\]?)? +(?:\[?{_LOGGER}\]?(?::| -) +)?{_BODY}",
        ),
        ("basic", rf"{_LEVEL}:{_LOGGER}:{_BODY}"),
        ("uvicorn", rf"{_LEVEL}: +{_BODY}"),
    )
)
"""Who writes records that begin so → the beginning; the first that fits wins."""


class _Head(NamedTuple):
    when: datetime | None
    level: str
    logger: str
    body: str


def begins_record(data: bytes) -> bool:
    """Say whether the first line of some bytes begins a record: `[2026-…` is no JSON."""
    return _head(data.lstrip().partition(b"\n")[0].decode("utf-8", "replace").rstrip()) is not None


def read_text_log(log: str, place: str, arrival: Arrival) -> Records:
    """Return the rows of a log's text; none where nothing looks like a record."""
    entries = list(entries_of(log))
    check_rows(len(entries), place)
    return records_of(entries, arrival, Ordinals())


def entries_of(log: str) -> Iterator[Entry]:
    """Yield the records of a text, in order."""
    lines = log.splitlines()
    told = {one.line - 1: one for one in find_tracebacks(log)}
    entry: Entry | None = None
    more: list[str] = []
    at = 0
    while at < len(lines):
        traceback, head = told.get(at), _head(lines[at])
        if head is not None or (traceback is not None and not _is_free(entry)):
            if entry is not None:
                yield _with_body(entry, more)
            entry, more = _begin(head, traceback), []
        if traceback is not None and entry is not None:
            entry = msgspec.structs.replace(
                entry,
                exceptions=traceback.exceptions,
                stacktrace=traceback.text,
                timestamp=entry.timestamp or traceback.when,
            )
        elif head is None and entry is not None and not entry.exceptions:
            more.append(lines[at][:MAX_LINE_CHARS])
        at += _length(traceback)
    if entry is not None:
        yield _with_body(entry, more)


def _is_free(entry: Entry | None) -> bool:
    """Say whether a traceback that comes now can be this record's."""
    return entry is not None and not entry.exceptions


def _length(traceback: Traceback | None) -> int:
    return 1 if traceback is None else traceback.text.count("\n") + 1


def _begin(head: _Head | None, traceback: Traceback | None) -> Entry:
    if head is None:
        return Entry(is_bare=True, timestamp=traceback.when if traceback else None, level="error")
    body = head.body.partition("Traceback (most recent call last):")[0].strip()
    return Entry(timestamp=head.when, level=head.level, logger=head.logger, body=body)


def _with_body(entry: Entry, more: list[str]) -> Entry:
    lines = [entry.body, *more[:MAX_BODY_LINES]]
    return msgspec.structs.replace(entry, body="\n".join(lines).strip())


def _head(line: str) -> _Head | None:
    if len(line) > MAX_LINE_CHARS:
        return None
    found = next((one for _, pattern in HEADS if (one := pattern.match(line))), None)
    if found is None:
        return None
    said = found.groupdict()
    return _Head(
        when=moment(_iso(said.get("when") or "")),
        level=LEVELS.get(said["level"].lower(), said["level"].lower()),
        logger=label(said.get("logger") or ""),
        body=said["body"],
    )


LEVELS = {"exception": "error", "success": "info", "notice": "info"}
"""Levels that only some loggers have → the one that OpenTelemetry knows."""


def _iso(when: str) -> str:
    """Return a time without the blank that some put before its offset."""
    return re.sub(r" (?=[+-]\d\d:?\d\d\Z)", "", when)
