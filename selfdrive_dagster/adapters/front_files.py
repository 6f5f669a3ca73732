"""The files that a front, its controller and the rollback command share, in `<home>/front/`.

    wanted.json    what the controller wants; each write raises its generation by one
    routes.json    what the front has put into the proxy's configuration
    seen.json      what the front saw, a second ago at most while it runs
    journal.jsonl  each return to stable that no controller ordered; append-only, synced

All but the journal are written whole: temporary file, sync, rename. A lock keeps the writers of
`wanted` and `routes` apart. Does not belong here: what the records mean (`rollout/traffic.py`).
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from selfdrive_dagster.adapters.durable import sync, write_whole
from selfdrive_dagster.config import KILL_SWITCH
from selfdrive_dagster.errors import BadInput, Busy
from selfdrive_dagster.rollout.traffic import Returned, Seen, Traffic, Wanted

FRONT = "front"
LOCK_SECONDS = 2.0
LOOK_SECONDS = 0.01

Record = TypeVar("Record", bound=msgspec.Struct)


class Routes(msgspec.Struct, frozen=True, kw_only=True):
    """What the proxy is told: processes as ports of this machine, 0 for none.

    `api` is the port at which the proxy tells of itself; `health` the path it looks at.
    """

    change_id: str = ""
    stable: int = 0
    canary: int = 0
    share: float = 0.0
    health: str = "/"
    api: int = 0


class FrontFiles:
    """The files of one home's front. Safe to use from several processes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / FRONT
        self.kill_switch = home / KILL_SWITCH
        self.wanted_file = self.folder / "wanted.json"
        self.seen_file = self.folder / "seen.json"
        self.routes_file = self.folder / "routes.json"
        self.journal_file = self.folder / "journal.jsonl"
        self.access_log = self.folder / "access.log"
        self.dynamic = self.folder / "dynamic.yml"
        self.static = self.folder / "static.yml"

    def make(self) -> None:
        """Make the folder."""
        self.folder.mkdir(exist_ok=True, mode=0o700)

    def is_killed(self) -> bool:
        """Say whether the kill switch is thrown."""
        return os.path.lexists(self.kill_switch)

    def traffic(self) -> Traffic:
        """Return what is wanted and what was seen. Raises BadInput when a file is broken."""
        return Traffic(wanted=self.wanted(), seen=self.read(self.seen_file, Seen))

    def wanted(self) -> Wanted:
        """Return what is wanted, nothing at generation 0 when nobody ever wanted anything."""
        return self.read(self.wanted_file, Wanted) or Wanted()

    def routes(self) -> Routes:
        """Return what the proxy was told last."""
        return self.read(self.routes_file, Routes) or Routes()

    def read(self, path: Path, kind: type[Record]) -> Record | None:
        """Return a file's record, None when there is no file. Raises BadInput when broken."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise BadInput(
                f"{path} cannot be read: {error}.",
                remedy=f"selfdrive rollback --now, then move {path} away and start the front again",
            ) from error

    @contextmanager
    def locked(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Keep other writers out. Raises Busy when one holds the lock for so long."""
        self.make()
        descriptor = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + seconds
        try:
            while not try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise Busy(
                        f"Somebody writes in {self.folder} and does not end.",
                        remedy="stop the `selfdrive serve` of this home",
                    )
                time.sleep(LOOK_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def write(self, path: Path, record: msgspec.Struct) -> None:
        """Write a record whole."""
        write_whole(path, msgspec.json.encode(record) + b"\n")

    def note(self, entry: Returned) -> None:
        """Append to the journal; it is on the disk when this returns."""
        self.make()
        descriptor = os.open(self.journal_file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            end = os.fstat(descriptor).st_size
            torn = end and os.pread(descriptor, 1, end - 1) != b"\n"  # a crash left half a line
            data = b"\n" * bool(torn) + msgspec.json.encode(entry) + b"\n"
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync(self.folder)

    def journal(self) -> tuple[Returned, ...]:
        """Return the journal, oldest first. A last line that was cut off never was written."""
        try:
            *lines, _torn = self.journal_file.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        return tuple(msgspec.json.decode(line, type=Returned) for line in lines if is_json(line))


def is_json(line: bytes) -> bool:
    """Say whether a line is whole: a crash may leave half of one in the middle."""
    try:
        msgspec.json.decode(line, type=Returned)
    except msgspec.DecodeError:
        return False
    return True


def try_lock(descriptor: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def as_yaml(value: Any) -> bytes:
    """Return a value as a YAML file that is JSON too: what the proxy reads, and we."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
