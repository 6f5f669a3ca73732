"""The bytes of a segment: its head, its records, and how they are read back."""

import itertools
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from selfdrive_dagster.errors import BadInput

MAGIC = b"selfdrive-segment-1\n"
MAX_RECORD_BYTES = 64 * 2**20
OPEN_SUFFIX = ".open"
CLOSED_SUFFIX = ".seg"
BAD_SUFFIX = ".unreadable"

_FRAME = struct.Struct("<II3I")
HEAD = struct.Struct("<3QI")


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


class Record(NamedTuple):
    """One record: its payload (may be empty) and what it counts for."""

    payload: bytes
    tally: Tally


def read_segment(path: Path) -> Iterator[bytes]:
    """Yield the payloads of a segment in order; of an open one, up to a torn tail.

    Raises BadInput if the file is no segment, or is closed and not whole to its last byte.
    """
    with path.open("rb") as file:
        if read_head(file) is None:
            raise BadInput(
                f"{path} is no segment of this version.",
                remedy="Move it away; segments come from the receiver or `selfdrive ingest`.",
            )
        end = file.tell()
        while (record := next_record(file)) is not None:
            end = file.tell()
            if record.payload:
                yield record.payload
        unread = os.fstat(file.fileno()).st_size - end
    if unread and path.suffix == CLOSED_SUFFIX:
        raise BadInput(
            f"{path} is damaged: {unread:,} bytes from byte {end:,} on are no whole records.",
            remedy="Keep it: the events before that byte can still be read.",
        )


def set_aside(path: Path) -> Path:
    """Rename a segment that cannot be read, never over another: nobody reads or deletes it then."""
    numbered = (
        path.with_name(f"{path.name}.{number}{BAD_SUFFIX}") for number in itertools.count(2)
    )
    names = itertools.chain([path.with_name(path.name + BAD_SUFFIX)], numbered)
    return path.rename(next(name for name in names if not name.exists()))


def closed_segments(directory: Path) -> tuple[Path, ...]:
    """Return the closed segments of a directory, oldest first; () if there is none."""
    return tuple(sorted(directory.glob(f"*{CLOSED_SUFFIX}")))


def pack_head(before: Tally) -> bytes:
    """Return the head of a segment that follows `before`."""
    numbers = struct.pack("<3Q", *before)
    return MAGIC + numbers + struct.pack("<I", zlib.crc32(numbers))


def read_head(file: BinaryIO) -> Tally | None:
    """Return the tally before this segment, None if the head is torn or foreign."""
    magic, numbers = file.read(len(MAGIC)), file.read(HEAD.size)
    if magic != MAGIC or len(numbers) != HEAD.size:
        return None
    *counts, checksum = HEAD.unpack(numbers)
    return Tally(*counts) if zlib.crc32(numbers[:-4]) == checksum else None


def next_record(file: BinaryIO) -> Record | None:
    """Return the next whole record, None at the end or where the tail is torn."""
    frame = file.read(_FRAME.size)
    if len(frame) < _FRAME.size:
        return None
    length, checksum, *counts = _FRAME.unpack(frame)
    payload = file.read(length) if length <= MAX_RECORD_BYTES else b""
    is_whole = len(payload) == length and _checksum(counts, payload) == checksum
    return Record(payload, Tally(*counts)) if is_whole else None


def hides_records(file: BinaryIO, at: int) -> bool:
    """Say whether whole records follow a place where none can be read.

    A kill tears a record off at the end of the file; a damaged one is followed by its neighbours.
    """
    while True:
        file.seek(at)
        frame = file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            return False
        length = _FRAME.unpack(frame)[0]
        at += _FRAME.size + length
        file.seek(at)
        if next_record(file) is not None:
            return True


def pack_record(record: Record) -> bytes:
    """Return the bytes of one record."""
    checksum = _checksum(record.tally, record.payload)
    return _FRAME.pack(len(record.payload), checksum, *record.tally) + record.payload


def _checksum(counts: Iterable[int], payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<3I", *counts)))
