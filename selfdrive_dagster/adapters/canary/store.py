"""Where a rollout's evidence is kept: one line per window and source, appended and synced.

`<home>/rollouts/<change>/windows.jsonl` is never rewritten, so no restart resets the canary's
statistics, and judging needs no database. A line that a kill tore is cut before the next one; a
damaged line before the last is told, never skipped. `thresholds.json` beside it is written once.
Does not belong here: what a line means (`rollout.canary.lines`).
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.canary.thresholds import Thresholds
from selfdrive_dagster.adapters.durable import sync, write_whole
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.rollout.canary import Line, Source, Window, windows_of

ENCODER = msgspec.json.Encoder(order="deterministic")
LINES = msgspec.json.Decoder(Line)


CANARY, KEPT = "canary", "kept"
"""Files that name the revision on trial, and say that it was kept."""


def on_trial(home: Path) -> frozenset[str]:
    """Return the revisions that some users met and that were not kept, or not yet."""
    named = (home / "rollouts").glob(f"*/{CANARY}")
    return frozenset(
        path.read_text(encoding="ascii") for path in named if not (path.parent / KEPT).exists()
    )


class DamagedWindows(SelfdriveError):
    """A rollout's evidence cannot be read, which is not the same as there being none."""


class WindowStore:
    """The evidence of one change's rollout. Many may read; one at a time appends."""

    def __init__(self, home: Path, change_id: str) -> None:
        if not change_id.replace("_", "").isalnum():
            raise BadInput(f"{change_id!r} is no change.")
        self._folder = home / "rollouts" / change_id
        self.path = self._folder / "windows.jsonl"
        self._thresholds = self._folder / "thresholds.json"

    def add(self, lines: Iterable[Line]) -> int:
        """Append what is not stored yet and return how many lines; they survive a power cut.

        What was said once of a window stays: a second line of the same source is left out.
        """
        with self._appending() as descriptor:
            known = {(line.start, line.source) for line in self.lines()}
            fresh = []
            for line in lines:
                if (key := (line.start, line.source)) not in known:
                    known.add(key)
                    fresh.append(ENCODER.encode(line) + b"\n")
            data = b"".join(fresh)
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        return len(fresh)

    def lines(self) -> tuple[Line, ...]:
        """Return all lines in the order in which they came. Raises DamagedWindows."""
        whole = self._whole()
        found = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                found.append(LINES.decode(line))
            except msgspec.DecodeError as fault:
                raise DamagedWindows(
                    f"{self.path}: line {number} is damaged: {fault}",
                    remedy="Roll the change back; keep the file for inquiry.",
                ) from fault
        return tuple(found)

    def read(self) -> tuple[Window, ...]:
        """Return the windows that the lines make, oldest first."""
        return windows_of(self.lines())

    def missing(self, source: Source) -> tuple[Window, ...]:
        """Return the windows of which a source said nothing yet."""
        lines = self.lines()
        said: set[datetime] = {line.start for line in lines if line.source is source}
        return tuple(window for window in windows_of(lines) if window.start not in said)

    def digest(self) -> str:
        """Return the sha256 of all whole lines, which evidence names."""
        return hashlib.sha256(self._whole()).hexdigest()

    def beginnings(self) -> frozenset[str]:
        """Return the digest of the file as it was after each of its lines, and before the first.

        It is only ever longer, so whatever was named of it once is among them.
        """
        seal = hashlib.sha256()
        found = {seal.hexdigest()}
        for line in self._whole().splitlines(keepends=True):
            seal.update(line)
            found.add(seal.hexdigest())
        return frozenset(found)

    def freeze(self, thresholds: Thresholds) -> None:
        """Keep the thresholds of this rollout. Raises BadInput when there are others already."""
        kept = self.thresholds()
        if kept is not None and kept != thresholds:
            raise BadInput(f"{self._thresholds} holds other thresholds; they are frozen.")
        if kept is None:
            self._make_folder()
            write_whole(self._thresholds, ENCODER.encode(thresholds))

    def thresholds(self) -> Thresholds | None:
        """Return the thresholds of this rollout, None when none were frozen."""
        try:
            return msgspec.json.decode(self._thresholds.read_bytes(), type=Thresholds)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as fault:
            raise DamagedWindows(
                f"{self._thresholds} is damaged: {fault}",
                remedy="Roll the change back; keep the file for inquiry.",
            ) from fault

    def name_canary(self, commit: str) -> None:
        """Keep which revision is tried; from then on it is `on_trial`."""
        self._make_folder()
        write_whole(self._folder / CANARY, commit.encode())

    def keep_canary(self) -> None:
        """Note that the revision became the product."""
        self._make_folder()
        write_whole(self._folder / KEPT, b"")

    def _whole(self) -> bytes:
        """Return the file up to the end of its last whole line."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            sync(self._folder.parent)
            sync(self._folder.parent.parent)

    @contextmanager
    def _appending(self) -> Iterator[int]:
        """Open the file at its end, alone, after cutting what a kill tore."""
        self._make_folder()
        is_new = not self.path.exists()
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_new:
                sync(self._folder)
            os.ftruncate(descriptor, len(self._whole()))
            yield descriptor
        finally:
            os.close(descriptor)
