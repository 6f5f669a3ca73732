"""Append-only segment files: where telemetry is safe before anybody hears "received".

A segment is a head (magic line, tally of all that came before, crc32), then records of
`<length u32><crc32 u32><tally 3 x u32><payload>`, little endian. One writer appends; one fsync
serves every record that waited for it (group commit). A torn tail is cut when the directory is
opened again. A segment closes by size or age: the next one is made first, then `<number>.open`
is renamed to `<number>.seg`. Readers take closed segments only and may delete them; the tallies
go on, and so they survive kill -9 as well.

Payloads must be redacted before they get here. What a payload means does not belong here.
"""

import fcntl
import os
import queue
import struct
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO, NamedTuple

from selfdrive_dagster.errors import BadInput, Busy

MAGIC = b"selfdrive-segment-1\n"
MAX_RECORD_BYTES = 256 * 2**20
MAX_WAITING = 1_024
OPEN_SUFFIX = ".open"
CLOSED_SUFFIX = ".seg"
LOCK_NAME = "writer.lock"

_FRAME = struct.Struct("<II3I")
_HEAD = struct.Struct("<3QI")


class Tally(NamedTuple):
    """Counts of events; they add. received = stored + duplicate + rejected, always."""

    stored: int = 0
    duplicate: int = 0
    rejected: int = 0

    @property
    def received(self) -> int:
        """All events that were answered for."""
        return self.stored + self.duplicate + self.rejected

    def plus(self, other: "Tally") -> "Tally":
        """Return the sum of both."""
        return Tally(*(mine + its for mine, its in zip(self, other, strict=True)))


class Limits(NamedTuple):
    """When a segment closes: bytes written, or seconds since its first record."""

    max_bytes: int = 64 * 2**20
    max_seconds: float = 5.0


class Record(NamedTuple):
    """One record: its payload (may be empty) and what it counts for."""

    payload: bytes
    tally: Tally


class _Waiting(NamedTuple):
    record: Record
    done: "Future[int]"


def read_segment(path: Path) -> Iterator[bytes]:
    """Yield the payloads of a segment in order, up to a torn tail.

    Raises BadInput if the file is no segment.
    """
    with path.open("rb") as file:
        if _read_head(file) is None:
            raise BadInput(
                f"{path} is no segment of this version.",
                remedy="Move it away; segments come from the receiver or `selfdrive ingest`.",
            )
        while (record := _next_record(file)) is not None:
            if record.payload:
                yield record.payload


def closed_segments(directory: Path) -> tuple[Path, ...]:
    """Return the closed segments of a directory, oldest first; () if there is none."""
    return tuple(sorted(directory.glob(f"*{CLOSED_SUFFIX}")))


def _head(before: Tally) -> bytes:
    numbers = struct.pack("<3Q", *before)
    return MAGIC + numbers + struct.pack("<I", zlib.crc32(numbers))


def _read_head(file: BinaryIO) -> Tally | None:
    """Return the tally before this segment, None if the head is torn or foreign."""
    magic, numbers = file.read(len(MAGIC)), file.read(_HEAD.size)
    if magic != MAGIC or len(numbers) != _HEAD.size:
        return None
    *counts, checksum = _HEAD.unpack(numbers)
    return Tally(*counts) if zlib.crc32(numbers[:-4]) == checksum else None


def _next_record(file: BinaryIO) -> Record | None:
    """Return the next whole record, None at the end or where the tail is torn."""
    frame = file.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        return None
    length, checksum, *counts = _FRAME.unpack(frame)
    payload = file.read(length) if length <= MAX_RECORD_BYTES else b""
    is_whole = len(payload) == length and _checksum(counts, payload) == checksum
    return Record(payload, Tally(*counts)) if is_whole else None


def _framed(record: Record) -> bytes:
    checksum = _checksum(record.tally, record.payload)
    return _FRAME.pack(len(record.payload), checksum, *record.tally) + record.payload


def _checksum(counts: Iterable[int], payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<3I", *counts)))


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


def _lock(directory: Path) -> int:
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


def _number(path: Path) -> int:
    return int(path.stem)


class _Open:
    """The segment being written: its file, size, and the tally of all up to its end."""

    def __init__(self, path: Path, descriptor: int, size: int, total: Tally) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = size
        self.total = total
        self.has_records = size > len(MAGIC) + _HEAD.size
        self.began = time.monotonic()

    @classmethod
    def create(cls, directory: Path, number: int, before: Tally) -> "_Open":
        """Make a segment that holds its head, synced."""
        path = directory / f"{number:012d}{OPEN_SUFFIX}"
        descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            head = _head(before)
            _write_all(descriptor, head)
            os.fsync(descriptor)
            _sync_directory(directory)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        return cls(path, descriptor, len(head), before)

    @classmethod
    def recover(cls, path: Path) -> "_Open | None":
        """Open a killed writer's segment and cut its torn tail; None if its head is torn."""
        with path.open("rb") as file:
            total = _read_head(file)
            if total is None:
                return None
            size = file.tell()
            while (record := _next_record(file)) is not None:
                total, size = total.plus(record.tally), file.tell()
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)
        os.fsync(descriptor)
        return cls(path, descriptor, size, total)

    def write(self, records: Sequence[Record]) -> None:
        """Append and sync. On OSError nothing of the records stays."""
        data = b"".join(map(_framed, records))
        try:
            _write_all(self.descriptor, data)
            os.fdatasync(self.descriptor)
        except OSError:
            os.ftruncate(self.descriptor, self.size)
            os.lseek(self.descriptor, self.size, os.SEEK_SET)
            raise
        if not self.has_records:
            self.began, self.has_records = time.monotonic(), True
        self.size += len(data)
        for record in records:
            self.total = self.total.plus(record.tally)

    def close(self) -> None:
        """Rename to its closed name, so that readers may take it."""
        os.close(self.descriptor)
        self.path.rename(self.path.with_suffix(CLOSED_SUFFIX))
        _sync_directory(self.path.parent)


def _reopen(directory: Path) -> _Open:
    """Finish what a killed writer left, and return the segment to go on with."""
    newest: _Open | None = None
    for path in sorted(directory.glob(f"*{OPEN_SUFFIX}")):
        segment = _Open.recover(path)
        if segment is None:
            path.unlink()  # its writer died before it held anything
            continue
        if newest:
            newest.close()
        newest = segment
    if newest:
        return newest
    last = max(map(_number, closed_segments(directory)), default=0)
    return _Open.create(directory, last + 1, Tally())


class SegmentWriter:
    """The one writer of a directory; safe to call from any thread.

    Raises Busy if another process writes there. A full disk fails the waiting appends with
    OSError and leaves the segment as it was; later appends try again.
    """

    def __init__(self, directory: Path, limits: Limits | None = None) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._limits = limits or Limits()
        self._directory = directory
        self._lock = _lock(directory)
        self._segment = _reopen(directory)
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._work, name="segment-writer", daemon=True)
        self._thread.start()

    @property
    def total(self) -> Tally:
        """What was synced since the directory was made, over all restarts."""
        return self._segment.total

    @property
    def open_path(self) -> Path:
        """The segment that is being written."""
        return self._segment.path

    def append(self, payload: bytes, tally: Tally) -> "Future[int]":
        """Queue one record; the future ends once it is synced, with the segment's number.

        Raises Busy when MAX_WAITING records wait already.
        """
        waiting = _Waiting(Record(payload, tally), Future())
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            raise Busy(
                f"{MAX_WAITING} deliveries wait for the disk.", remedy="Send it again in a second."
            ) from None
        return waiting.done

    def close(self) -> None:
        """Sync what waits, close the open segment and let the directory go."""
        self._queue.put(None)
        self._thread.join()
        if self._segment.has_records:
            self._rotate()
        os.close(self._segment.descriptor)
        os.close(self._lock)

    def _work(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._next_batch()
            if batch:
                self._write(batch)
            if self._is_due():
                self._try_rotate()

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        """Return all that waits, and False once nothing will follow."""
        batch: list[_Waiting] = []
        try:
            first = self._queue.get(timeout=min(0.25, self._limits.max_seconds))
            while first is not None:
                batch.append(first)
                first = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            self._segment.write([waiting.record for waiting in batch])
        except OSError as error:
            for waiting in batch:
                waiting.done.set_exception(error)
            return
        for waiting in batch:
            waiting.done.set_result(_number(self._segment.path))

    def _is_due(self) -> bool:
        segment = self._segment
        is_old = time.monotonic() - segment.began >= self._limits.max_seconds
        return segment.has_records and (is_old or segment.size >= self._limits.max_bytes)

    def _try_rotate(self) -> None:
        try:
            self._rotate()
        except OSError:
            # A full disk: the open segment stays open, and a later round tries again.
            self._segment.began = time.monotonic()

    def _rotate(self) -> None:
        full = self._segment
        self._segment = _Open.create(self._directory, _number(full.path) + 1, full.total)
        full.close()
