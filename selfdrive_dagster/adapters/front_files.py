"""The files that a front, its controller and the rollback command share, in `<home>/front/`.

    wanted.json    what the controller wants; each write raises its generation by one
    routes.json    what the front has put into the proxy's configuration
    seen.json      what the front saw, a second ago at most while it runs
    journal.jsonl  each return to stable that no controller ordered; append-only, synced

All but the journal are written whole: temporary file, sync, rename. Before a canary is wanted or
routed, `wanted.json.ready` and `dynamic.yml.ready` hold the way back, so that it needs no room; a
line of the journal that found none stands in `wanted.json` until it does. A lock keeps the
writers of `wanted` and `routes` apart; who was passed while it held the lock comes too late.
Does not belong here: what the records mean (`rollout/traffic.py`).
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from selfdrive_dagster.adapters.durable import (
    forget_unborn,
    make_ready,
    sync,
    take_ready,
    write_whole,
)
from selfdrive_dagster.config import KILL_SWITCH
from selfdrive_dagster.errors import BadInput, Busy, Refused
from selfdrive_dagster.rollout.traffic import Returned, Seen, Traffic, Wanted, leads_back

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
        write_whole(path, as_line(record))

    def want(self, wanted: Wanted, otherwise: Wanted) -> None:
        """Want something else than the generation before it; `otherwise` is made its way back.

        Raises Refused when that generation is no longer the current one, up to the last moment:
        whoever held the lock may have been passed.
        """
        if leads_back(wanted):
            make_ready(self.wanted_file, as_line(otherwise))
        try:
            write_whole(
                self.wanted_file,
                as_line(wanted),
                still=lambda: self.require(wanted.generation - 1),
            )
        except FileNotFoundError:  # taken from us by who went to stable past our lock
            self.require(wanted.generation - 1)
            raise

    def require(self, generation: int) -> Wanted:
        """Return what is wanted. Raises Refused when it is not of this generation."""
        wanted = self.wanted()
        if wanted.generation != generation:
            raise Refused(
                f"The traffic was changed meanwhile: generation {wanted.generation}, not "
                f"{generation} ({wanted.reason}).",
                remedy="read it again before deciding",
            )
        return wanted

    def give_back(self, before: Wanted, after: Wanted) -> Wanted:
        """Want what a return leaves, whoever writes meanwhile; return what is wanted then.

        It needs no room where it leads back; without room, what leads nowhere changes nothing.
        """
        try:
            take_ready(self.wanted_file, as_line(after))
        except FileNotFoundError:
            after = self._write_back(before, after)
        forget_unborn(self.wanted_file)
        forget_unborn(self.dynamic)
        return after

    def _write_back(self, before: Wanted, after: Wanted) -> Wanted:
        try:
            self.write(self.wanted_file, after)
        except OSError:
            if leads_back(before) and leads_back(self.wanted()):  # else another return was first
                raise
            return self.wanted()
        return after

    def settle_journal(self) -> None:
        """Write into the journal what found no room there before."""
        if owed := self.owed():
            self.note(owed)

    def owed(self) -> Returned | None:
        """Return the return to stable that the journal's file does not tell yet."""
        try:
            back = self.wanted().back
        except BadInput:
            return None
        return None if back is None or back in self._lines() else back

    def note(self, entry: Returned) -> None:
        """Append to the journal; it is on the disk when this returns."""
        self.make()
        descriptor = os.open(self.journal_file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            end = os.fstat(descriptor).st_size
            torn = end and os.pread(descriptor, 1, end - 1) != b"\n"  # a crash left half a line
            data = b"\n" * bool(torn) + as_line(entry)
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync(self.folder)

    def journal(self) -> tuple[Returned, ...]:
        """Return the journal, oldest first, with what is owed to it."""
        owed = self.owed()
        return (*self._lines(), *((owed,) if owed else ()))

    def _lines(self) -> tuple[Returned, ...]:
        """Return the journal's lines. A last one that was cut off never was written."""
        try:
            *lines, _torn = self.journal_file.read_bytes().split(b"\n")
        except FileNotFoundError:
            return ()
        return tuple(msgspec.json.decode(line, type=Returned) for line in lines if is_json(line))


def as_line(record: msgspec.Struct) -> bytes:
    """Return a record as a line of JSON."""
    return msgspec.json.encode(record) + b"\n"


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
