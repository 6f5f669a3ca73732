"""The writing thread: one fsync for all that wait, and the turn to a new segment."""

import os
import queue
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from selfdrive_dagster.adapters.segments.files import OpenSegment, hold, number_of, reopen
from selfdrive_dagster.adapters.segments.layout import Record, Tally
from selfdrive_dagster.errors import Busy

MAX_WAITING = 1_024


class Limits(NamedTuple):
    """When a segment closes: bytes written, or seconds since its first record."""

    max_bytes: int = 64 * 2**20
    max_seconds: float = 5.0


class _Waiting(NamedTuple):
    record: Record
    done: "Future[int]"


class SegmentWriter:
    """The one writer of a directory; safe to call from any thread.

    Raises Busy if another process writes there. A full disk fails the waiting appends with
    OSError and leaves the segment as it was; later appends try again.
    """

    def __init__(self, directory: Path, limits: Limits | None = None) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._limits = limits or Limits()
        self._directory = directory
        self._lock = hold(directory)
        self._segment = reopen(directory)
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
            waiting.done.set_result(number_of(self._segment.path))

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
        self._segment = OpenSegment.create(self._directory, number_of(full.path) + 1, full.total)
        full.close()
