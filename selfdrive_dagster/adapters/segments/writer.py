"""The writing thread: one fsync for all that wait, and the turn to a new segment."""

import os
import queue
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from selfdrive_dagster.adapters.segments.files import OpenSegment, hold, number_of, reopen
from selfdrive_dagster.adapters.segments.layout import MAX_RECORD_BYTES, Record, Tally
from selfdrive_dagster.errors import Busy
from selfdrive_dagster.telemetry.bounds import TooMuch

MAX_WAITING = 1_024
MAX_WAITING_BYTES = MAX_RECORD_BYTES
"""What may wait for the disk: whatever may be a record fits when nothing else waits."""


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
        self._waiting_bytes = 0
        self._guard = threading.Lock()  # every thread that appends changes _waiting_bytes
        self._thread = threading.Thread(target=self._work, name="segment-writer", daemon=True)
        self._thread.start()

    @property
    def total(self) -> Tally:
        """What was synced since the directory was made, over all restarts."""
        return self._segment.total

    @property
    def waiting_bytes(self) -> int:
        """What is queued for the disk."""
        return self._waiting_bytes

    @property
    def open_path(self) -> Path:
        """The segment that is being written."""
        return self._segment.path

    def append(self, payload: bytes, tally: Tally) -> "Future[int]":
        """Queue one record; the future ends once it is synced, with the segment's number.

        Raises TooMuch for a payload that no reader would take, Busy when MAX_WAITING records or
        MAX_WAITING_BYTES wait already.
        """
        if len(payload) > MAX_RECORD_BYTES:
            raise TooMuch(
                f"The delivery became {len(payload):,} bytes; {MAX_RECORD_BYTES:,} are the most.",
                remedy="Send smaller batches.",
            )
        waiting = _Waiting(Record(payload, tally), Future())
        self._reserve(len(payload))
        try:
            self._queue.put_nowait(waiting)
        except queue.Full:
            self._release(len(payload))
            raise _busy(f"{MAX_WAITING} deliveries") from None
        return waiting.done

    def _reserve(self, size: int) -> None:
        with self._guard:
            if self._waiting_bytes + size > MAX_WAITING_BYTES:
                raise _busy(f"{self._waiting_bytes:,} bytes")
            self._waiting_bytes += size

    def _release(self, size: int) -> None:
        with self._guard:
            self._waiting_bytes -= size

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
        except Exception as error:
            # Whatever it was: who waits must hear of it, and this thread must go on.
            for waiting in batch:
                waiting.done.set_exception(error)
            return
        finally:
            self._release(sum(len(waiting.record.payload) for waiting in batch))
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


def _busy(what: str) -> Busy:
    return Busy(f"{what} wait for the disk.", remedy="Send it again in a second.")
