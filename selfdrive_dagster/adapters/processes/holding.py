"""One loop, and one front, per home: a lock that the kernel drops when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from selfdrive_dagster.errors import Busy

LOCK = Path("run") / "up.lock"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a home: a process, and since when (UTC)."""

    pid: int
    since: datetime


@contextmanager
def held(home: Path, command: str = "selfdrive up") -> Iterator[Holder]:
    """Hold the home for a command until the block ends. Raises Busy that names the holder."""
    path = home / LOCK
    path.parent.mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(home, path, command) from None
        holder = Holder(pid=os.getpid(), since=datetime.now(UTC))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(holder), 0)
        yield holder
    finally:
        os.close(descriptor)


def busy(home: Path, path: Path, command: str) -> Busy:
    """Say who holds the home."""
    try:
        holder = msgspec.json.decode(path.read_bytes(), type=Holder)
    except msgspec.DecodeError:  # it took the lock this moment and has not yet written
        return Busy(f"Another `{command}` starts on {home}.", remedy="wait for it, or stop it")
    since = holder.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return Busy(
        f"`{command}` runs on {home} already: process {holder.pid}, since {since}.",
        remedy=f"use that one, stop it (kill {holder.pid}), or set SELFDRIVE_HOME to another place",
    )
