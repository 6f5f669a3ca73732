"""A purse in a file of the home, for `selfdrive repair`, which has no database.

One JSON line for each reservation and each settling, appended and synced under a lock; what was
set aside and never settled counts in full. Days and months are UTC's, by this machine's clock.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Ask
from selfdrive_dagster.patches.asking.money import Caps, Denied, Reserved, exceeded

NAME = "spend.jsonl"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Money set aside (`ask` None), or what became of it: the last line of an id counts."""

    id: str
    run: str
    at: datetime
    model: str
    micros: int
    ask: Ask | None = None


class FilePurse:
    """Money for one run; `caps.change` is what the run may take."""

    def __init__(self, home: Path, run: str, caps: Caps) -> None:
        self._path, self._run, self._caps = home / NAME, run, caps

    def reserve(self, micros: int, model: str) -> Reserved | Denied:
        """Set an amount aside; it is on the disk when this returns."""
        with self._locked() as file:
            lines = self._read(file)
            now = datetime.now(UTC)
            if why := exceeded(micros, self._gone(lines, now), self._caps):
                return Denied(why)
            name = f"{self._run}-{len(lines)}"
            self._write(file, Line(id=name, run=self._run, at=now, model=model, micros=micros))
            return Reserved(name)

    def settle(self, reserved: Reserved, ask: Ask) -> None:
        """Note what a question came to, under the time at which money was set aside."""
        with self._locked() as file:
            before = next(line for line in self._read(file) if line.id == reserved.id)
            done = msgspec.structs.replace(before, micros=ask.spent_micros, ask=ask)
            self._write(file, done)

    def _gone(self, lines: list[Line], now: datetime) -> Caps:
        counted = {line.id: line for line in lines}.values()
        return Caps(
            change=sum(line.micros for line in counted if line.run == self._run),
            day=sum(line.micros for line in counted if line.at.date() == now.date()),
            month=sum(
                line.micros
                for line in counted
                if (line.at.year, line.at.month) == (now.year, now.month)
            ),
        )

    @contextmanager
    def _locked(self) -> Iterator[int]:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _read(self, file: int) -> list[Line]:
        data = os.pread(file, os.fstat(file).st_size, 0)
        # A line that a kill tore at the end was never answered for: nothing was sent after it.
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(file, len(whole))
        try:
            return [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]
        except msgspec.MsgspecError as fault:
            raise BadInput(
                f"{self._path} cannot be read: {fault}.",
                remedy="look at it: it tells what models cost; move it away to begin anew",
            ) from fault

    def _write(self, file: int, line: Line) -> None:
        os.write(file, msgspec.json.encode(line) + b"\n")
        os.fsync(file)
