"""Users lent to jobs, one job each at a time, so that two jobs never share a user's limits."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selfdrive_dagster.errors import Busy

WAIT_SECONDS = 600.0


@contextmanager
def slot(state_dir: Path, uids: range) -> Iterator[int]:
    """Lend the first free uid; waits when all are out. Raises Busy after ten minutes."""
    folder = state_dir / "slots"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    uid, lock = _first_free(folder, uids)
    try:
        yield uid
    finally:
        os.close(lock)


def _first_free(folder: Path, uids: range) -> tuple[int, int]:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        for uid in uids:
            lock = os.open(folder / str(uid), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return uid, lock
        time.sleep(0.05)
    raise Busy(
        f"all {len(uids)} sandbox users have been busy for {WAIT_SECONDS:.0f} s",
        remedy="wait for the other runs, or end them",
    )
