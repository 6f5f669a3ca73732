"""The memory limit of an ordinary user without cgroups: a thread that counts and kills.

Every 20 ms it adds the resident memory of all processes in the namespace. The cheap sum counts
shared pages once per process, so above the limit the proportional sizes decide. It overshoots by
what can be touched between two looks: a bound in time, not in bytes (on two busy cores at most
43 MiB above 256 MiB, nine bombs of one to eight processes). What no process map shows
(memfd, System V and shared anonymous memory) is refused by the seccomp filter in this mode; tmpfs
pages have their own sizes. Socket and pipe buffers are bounded only by the open-file limit.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PERIOD_SECONDS = 0.02
PAGE = 4096


class Watchdog:
    """Watches the process tree under `root`, a pid of ours, and calls `kill` above the limit."""

    def __init__(self, root: int, limit_bytes: int, kill: Callable[[], None]) -> None:
        self.root = root
        self.limit = limit_bytes
        self.kill = kill
        self.highest = 0
        self.bit = False
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="memory-watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self.thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.over.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.over.wait(PERIOD_SECONDS):
            pids = family(self.root)
            used = sum(resident(pid) for pid in pids)
            if used > self.limit:
                used = sum(proportional(pid) for pid in pids)
            self.highest = max(self.highest, used)
            if used > self.limit:
                self.bit = True
                self.kill()
                return


def family(root: int) -> list[int]:
    """Return `root` and all its descendants; orphans stay in it, since init adopts them."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children(pid)
    return found


def children(pid: int) -> list[int]:
    """Return the children of all threads of a process; none when it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def resident(pid: int) -> int:
    """Return the resident bytes of a process, shared pages included; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def proportional(pid: int) -> int:
    """Return the bytes of a process, each shared page divided among its sharers.

    A process can make its map unreadable to us; then all it has resident counts.
    """
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))
    except (OSError, StopIteration):
        return resident(pid)
