"""Files of history: which there are, their exceptions, and a crash of each issue worth a try.

Belongs here: reading. Does not belong: what the history means (`issues.replay`).
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from glob import glob, has_magic
from pathlib import Path

import msgspec

from selfdrive_dagster.config import Settings
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import Grouping, IssueEventRow, named_event
from selfdrive_dagster.issues.members import placed
from selfdrive_dagster.issues.traces import Trace
from selfdrive_dagster.model import Crash, Progress
from selfdrive_dagster.telemetry import Arrival, Redactor, read_records
from selfdrive_dagster.telemetry.reading import UNKNOWN_TIME, WHAT_WE_READ

KEPT = 40
"""Crashes kept of one issue, day and release: the loop looks at as many for a telling one."""


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A file that could not be read, and why. `is_named` says that the user named it."""

    path: str
    why: str
    is_named: bool


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What the files hold. `undated` counts exceptions without a time: they have no place."""

    files: int
    events: tuple[IssueEventRow, ...]
    undated: int
    unread: tuple[Unread, ...]
    crashes: dict[str, bytes]


def files_of(paths: Sequence[Path]) -> dict[Path, bool]:
    """Return the files of paths, folders and patterns, and whether the user named each.

    Raises BadInput for a path that is not there and a pattern that nothing matches.
    """
    found: dict[Path, bool] = {}
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file() and not _is_hidden(file.relative_to(path)):
                    found.setdefault(file, False)
        elif path.exists() or not has_magic(str(path)):
            found[path] = True
        else:
            # Path.glob takes no absolute pattern.
            names = glob(str(path), recursive=True)  # noqa: PTH207
            matching = [Path(name) for name in sorted(names)]
            found.update(files_of(matching))
            if not matching:
                raise BadInput(f"No file matches {path}.", remedy="check the pattern")
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def read_history(
    paths: Sequence[Path], settings: Settings, progress: Progress, *, keeps_crashes: bool
) -> History:
    """Read every file; one that cannot be read is told and keeps no other from being read.

    Raises BadInput when no file could be.
    """
    arrival = Arrival(received_at=UNKNOWN_TIME, redactor=_redactor(settings, keeps_crashes))
    grouping = Grouping(source=settings.service.source)
    files, unread = files_of(paths), []
    events: dict[str, tuple[IssueEventRow, Trace]] = {}
    crashes: dict[str, bytes] = {}
    kept: dict[tuple[str, date, str], int] = defaultdict(int)
    for number, (path, is_named) in enumerate(files.items(), start=1):
        progress(f"Reading file {number} of {len(files)}")
        try:
            rows = read_records(_bytes(path), str(path), arrival).exceptions
        except BadInput as fault:
            unread.append(Unread(path=str(path), why=fault.message, is_named=is_named))
            continue
        for row in rows:
            event, trace = named_event(row, grouping)
            if event.event_id in events:
                continue
            events[event.event_id] = event, trace
            key = (event.issue_id, event.timestamp.date(), event.service_version or "")
            if keeps_crashes and kept[key] < KEPT:
                kept[key] += 1
                crashes[event.event_id] = row.crash_json.encode()
    if len(unread) == len(files):
        why = unread[0].why if unread else "There is no file."
        raise BadInput(f"Nothing could be read. {why}", remedy=WHAT_WE_READ)
    dated = [pair for pair in events.values() if pair[0].timestamp != UNKNOWN_TIME]
    return History(
        files=len(files) - len(unread),
        events=tuple(placed(dated, merges=settings.issues.merge == "auto")),
        undated=len(events) - len(dated),
        unread=tuple(unread),
        crashes=crashes,
    )


def _redactor(settings: Settings, keeps_crashes: bool) -> Redactor:
    """Return a redactor with a key of this moment: it keeps users apart and names nobody."""
    captures = settings.telemetry.capture_arguments and keeps_crashes
    return Redactor(key=os.urandom(32), keeps_variables=captures)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise BadInput(f"{path} cannot be read: {fault.strerror}.") from fault


def telling_crash(
    events: Iterable[IssueEventRow], crashes: Mapping[str, bytes], issue_id: str, at: datetime
) -> Crash | None:
    """Return the crash that the loop would have taken at a moment, None where none was kept.

    Of the newest day and release the first that says most, as `warehouse/samples.py` chooses.
    """
    seen = [each for each in events if each.issue_id == issue_id and each.timestamp <= at]
    newest = max(seen, key=lambda each: (each.timestamp, each.event_id))
    like = (newest.timestamp.date(), newest.service_version)
    early = sorted(
        (each for each in seen if (each.timestamp.date(), each.service_version) == like),
        key=lambda each: (each.timestamp, each.event_id),
    )
    kept = [crashes[each.event_id] for each in early if each.event_id in crashes][:KEPT]
    return max((msgspec.json.decode(one, type=Crash) for one in kept), key=_told, default=None)


def _told(crash: Crash) -> int:
    return sum(frame.variables is not None for frame in crash.raised.frames)
