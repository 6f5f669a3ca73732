"""The live list of a table: which files it consists of, in one small JSON file.

Readers take their files from here and never from a glob, so that a query never sees half a
compaction. One writer at a time (a file lock); the list is replaced by rename; files that left
it are kept for one more generation, for readers that still hold the old list.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from selfdrive_dagster.errors import BadInput, Busy

NAME = "live.json"
LOCK_SECONDS = 30.0


class LiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file. `path` is relative to the table's folder.

    `sequence` counts the table's writes: a reader that has seen up to n reads what lies above.
    `hours` are the event hours (`2026-11-23T06`) that have rows in it; `first` and `last` bound
    its event times, None when it has no row or no such column. `bare` says that nothing is left in
    it that goes before its rows do (`retention`).
    """

    path: str
    partition: str
    rows: int
    bytes: int
    sha256: str
    schema: str
    sequence: int
    hours: tuple[str, ...] = ()
    first: datetime | None = None
    last: datetime | None = None
    bare: bool = False


class LiveList(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a table now. `lost` are those found corrupt: their rows are missing."""

    generation: int = 0
    sequence: int = 0
    schema: str = ""
    files: tuple[LiveFile, ...] = ()
    retired: tuple[str, ...] = ()
    lost: tuple[LiveFile, ...] = ()

    def since(self, sequence: int) -> tuple[LiveFile, ...]:
        """Return the files written after a sequence number."""
        return tuple(file for file in self.files if file.sequence > sequence)


def read_list(folder: Path) -> LiveList | None:
    """Return a table's live list, None if the table was never written."""
    path = folder / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=LiveList)
    except (msgspec.DecodeError, msgspec.ValidationError) as fault:
        raise BadInput(
            f"{path} cannot be read: {fault}",
            remedy="restore it from a backup; the Parquet files beside it are untouched",
        ) from fault


def write_list(folder: Path, live: LiveList) -> None:
    """Replace a table's live list, then delete what the generation before last had retired."""
    before = read_list(folder)
    write_file(folder / NAME, msgspec.json.encode(live))
    kept = {file.path for file in live.files} | set(live.retired)
    for path in before.retired if before else ():
        if path not in kept:
            (folder / path).unlink(missing_ok=True)


def write_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that it is there whole and on disk, or not at all.

    Not `durable` is for what can be made again: after a loss of power it may be damaged, which
    its sha256 tells.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as out:
        out.write(data)
        out.flush()
        if durable:
            os.fsync(out.fileno())
    temporary.rename(path)
    if not durable:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def writing(folder: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the folder's write lock; the system frees it if we die. Raises Busy after a while."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        deadline = time.monotonic() + seconds
        while not _locked(lock.fileno()):
            if time.monotonic() > deadline:
                raise Busy(
                    f"{folder} is being written by another process",
                    remedy="wait for it to end, or stop the second `selfdrive up`",
                )
            time.sleep(0.02)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
