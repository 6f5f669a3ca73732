"""The open segment on disk: made, written, recovered after a kill, closed."""

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path

from selfdrive_dagster.adapters.segments.layout import (
    CLOSED_SUFFIX,
    HEAD,
    MAGIC,
    OPEN_SUFFIX,
    Record,
    Tally,
    closed_segments,
    hides_records,
    next_record,
    pack_head,
    pack_record,
    read_head,
    set_aside,
)
from selfdrive_dagster.errors import Busy

LOCK_NAME = "writer.lock"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold(directory: Path) -> int:
    """Hold the directory for this process; the lock ends with it, however it ends."""
    descriptor = os.open(directory / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Busy(
            f"{directory} is being written by another receiver.",
            remedy="Stop the other one, or choose another directory.",
        ) from None
    return descriptor


def number_of(path: Path) -> int:
    """Return the number in a segment's name."""
    return int(path.stem)


class OpenSegment:
    """The segment being written: its file, size, and the tally of all up to its end."""

    def __init__(self, path: Path, descriptor: int, size: int, total: Tally) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = size
        self.total = total
        self.has_records = size > len(MAGIC) + HEAD.size
        self.began = time.monotonic()

    @classmethod
    def create(cls, directory: Path, number: int, before: Tally) -> "OpenSegment":
        """Make a segment that holds its head, synced."""
        path = directory / f"{number:012d}{OPEN_SUFFIX}"
        descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            head = pack_head(before)
            _write_all(descriptor, head)
            os.fsync(descriptor)
            _sync_directory(directory)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        return cls(path, descriptor, len(head), before)

    @classmethod
    def recover(cls, path: Path) -> "OpenSegment | None":
        """Open a killed writer's segment and cut its torn tail; None if its head is torn.

        A tail that is longer than one torn write explains is copied and set aside before.
        """
        with path.open("rb") as file:
            total = read_head(file)
            if total is None:
                return None
            size = file.tell()
            while (record := next_record(file)) is not None:
                total, size = total.plus(record.tally), file.tell()
            if hides_records(file, size):
                set_aside(_copy(path))
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
        return cls(path, descriptor, size, total)

    def write(self, records: Sequence[Record]) -> None:
        """Append and sync. On an error nothing of the records stays."""
        data = b"".join(map(pack_record, records))
        try:
            # A failed write before this one may have left bytes that could not be cut either.
            os.lseek(self.descriptor, self.size, os.SEEK_SET)
            _write_all(self.descriptor, data)
            os.fdatasync(self.descriptor)
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            raise
        if not self.has_records:
            self.began, self.has_records = time.monotonic(), True
        self.size += len(data)
        for record in records:
            self.total = self.total.plus(record.tally)

    def close(self) -> None:
        """Rename to its closed name, so that readers may take it."""
        os.ftruncate(self.descriptor, self.size)
        os.close(self.descriptor)
        self.path.rename(self.path.with_suffix(CLOSED_SUFFIX))
        _sync_directory(self.path.parent)


def _copy(path: Path) -> Path:
    """Copy a segment beside itself, synced, under a name that nobody reads."""
    copy = path.with_name(f"{path.name}.cut")
    descriptor = os.open(copy, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        _write_all(descriptor, path.read_bytes())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return copy


def reopen(directory: Path) -> OpenSegment:
    """Finish what a killed writer left, and return the segment to go on with."""
    newest: OpenSegment | None = None
    for path in sorted(directory.glob(f"*{OPEN_SUFFIX}")):
        segment = OpenSegment.recover(path)
        if segment is None:
            if path.stat().st_size > len(MAGIC) + HEAD.size:
                set_aside(path)
            else:
                path.unlink()  # its writer died before it held anything
            continue
        if newest:
            newest.close()
        newest = segment
    if newest:
        return newest
    last = max(map(number_of, closed_segments(directory)), default=0)
    return OpenSegment.create(directory, last + 1, Tally())
