"""Keeps one PostgreSQL running for as long as somebody uses it, and not a moment longer.

A program, not a module: `server` starts it in a session of its own with one JSON argument,
and it steps into the background at once. It starts PostgreSQL, then waits until the `users`
lock can be had exclusively. Every user holds that lock shared, and the kernel drops it when a
user dies, however it dies: kill -9 leaves no server behind. If the keeper itself is killed,
Linux interrupts the server for it.

Standard library only (it starts in 30 ms and holds 10 MB); knows nothing of what is stored.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

LOOK_SECONDS = 0.1
STOP_SECONDS = 60.0
PR_SET_PDEATHSIG = 1


def main(spec: dict[str, Any]) -> int:
    """Run the server named by `spec` to its end; returns at once in the first process."""
    if os.fork():  # the caller waits for us, and must not be left with a child to bury
        return 0
    users = os.open(spec["users"], os.O_RDWR)
    server = start(spec)
    while server.poll() is None:
        if nobody_uses(users):
            stop(server)
        time.sleep(LOOK_SECONDS)
    return server.returncode


def start(spec: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the server inside its data directory, as the user that owns it.

    The directory is entered before the privileges are dropped, so its parents may be closed
    to that user. The server and its children inherit the descriptor of the `server` lock: it
    is free exactly when none of them lives.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def die_with_the_keeper() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT)

    return subprocess.Popen(
        spec["command"],
        cwd=spec["data"],
        env={"LC_ALL": "C", "PATH": os.defpath},
        pass_fds=[spec["server_fd"]],
        # This process has one thread, so the hook is safe; it must follow the change of user.
        preexec_fn=die_with_the_keeper,
        **spec["identity"],
    )


def nobody_uses(users: int) -> bool:
    """Take the `users` lock exclusively if nobody holds it; once taken, it is kept."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def stop(server: subprocess.Popen[bytes]) -> None:
    """Shut the server down: open transactions are rolled back, then a clean checkpoint."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
