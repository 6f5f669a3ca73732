"""Who uses the embedded server, and whether it lives: two locks below the home.

    users    held shared by everyone who uses the server. The keeper stops the server once it
             can take it exclusively, and holds it so until the server has ended.
    server   held by the server's own processes. Free means: none of them lives.

The kernel drops both at any death, so nothing here is ever stale. Does not belong here: how
the server is made and started (`server`).
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from selfdrive_dagster.errors import Busy, SelfdriveError
from selfdrive_dagster.model import Progress

LOOK_SECONDS = 0.05
PATIENT_LOOK_SECONDS = 0.5
"""After the first second: a recovering server logs each time that we ask."""
TELL_SECONDS = 2.0


class Place(msgspec.Struct, frozen=True):
    """Where a home keeps its server."""

    home: Path

    @property
    def data(self) -> Path:
        """The data directory: 0700, owned by whoever runs the server."""
        return self.home / "postgres"

    @property
    def users(self) -> Path:
        """The lock of those who use the server."""
        return self.home / "run" / "postgres.users"

    @property
    def server(self) -> Path:
        """The lock of the server's own processes."""
        return self.home / "run" / "postgres.server"

    @property
    def log(self) -> Path:
        """What the server had to say: warnings and worse."""
        return self.home / "logs" / "postgres.log"

    def prepare(self) -> None:
        """Make the home (0700) and its folders."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.users.parent, self.log.parent):
            folder.mkdir(exist_ok=True, mode=0o700)
        self.log.touch(mode=0o600)


def enter(users: int, place: Place, progress: Progress, seconds: float) -> None:
    """Count ourselves among the users; waits while a server is being stopped."""
    wait_until(
        lambda: locked(users, fcntl.LOCK_SH),
        seconds,
        lambda waited: progress(f"waiting for the database to stop first ({waited:.0f} s)"),
        lambda: Busy(
            f"The database of {place.home} has been stopping for {seconds:.0f} s.",
            remedy=f"Look at {place.log}, then run the command again.",
        ),
    )


def leave(users: int, place: Place, seconds: float) -> None:
    """Count ourselves out; if nobody else is in, wait until the server has ended.

    A failed exclusive lock has two reasons: others share it, then a shared one is to be had,
    or the keeper holds it because it is stopping the server already.
    """
    if not locked(users, fcntl.LOCK_EX) and locked(users, fcntl.LOCK_SH):
        return
    fcntl.flock(users, fcntl.LOCK_UN)
    deadline = time.monotonic() + seconds
    while not server_is_gone(place) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def server_is_gone(place: Place) -> bool:
    """Say whether no process of the server lives."""
    server = os.open(place.server, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        return locked(server, fcntl.LOCK_EX)
    finally:
        os.close(server)


def locked(descriptor: int, kind: int) -> bool:
    """Try a lock without waiting. A failed change of kind gives up the lock that was held."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_until(
    done: Callable[[], bool],
    seconds: float,
    tell: Callable[[float], None],
    late: Callable[[], SelfdriveError],
) -> None:
    """Ask `done` until it is true; tell now and then; raise what `late` makes at the end."""
    begun = told = time.monotonic()
    while not done():
        now = time.monotonic()
        if now - begun > seconds:
            raise late()
        if now - told >= TELL_SECONDS:
            told = now
            tell(now - begun)
        time.sleep(LOOK_SECONDS if now - begun < 1 else PATIENT_LOOK_SECONDS)
