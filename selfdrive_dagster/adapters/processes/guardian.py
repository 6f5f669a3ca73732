"""Runs one program of the loop, and sees to it that nothing of it outlives its purpose.

A program, not a module: `running` starts it with one line of JSON on stdin, which then stays
open. When that pipe ends, because its owner wants it or is dead (kill -9 too), the program is
asked to stop, then killed, with everything that it started. What the program prints goes to a
log file of bounded size, one line at a time, without colours. If the guardian itself is killed,
Linux kills the program for it; what the program had started is found by `leftovers`.

Standard library only (it starts in 30 ms and holds 10 MB); knows nothing of what it runs.
"""

import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOG_BYTES = 8 * 2**20
LINE_BYTES = 64 * 2**10
LOOK_SECONDS = 0.5
BURY_SECONDS = 5.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Log:
    """A log file: each line gets time and name; when it is full, one older file is kept."""

    def __init__(self, path: str, name: str) -> None:
        self._path = Path(path)
        self._name = name
        self._rest = b""
        self._file = opened(self._path)

    def write(self, data: bytes) -> None:
        """Write the whole lines of what has come; keep the rest for the next time."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self.line(line)

    def line(self, line: bytes) -> None:
        """Write one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            plain = COLOURS.sub(b"", line.rstrip(b"\r"))
            os.write(self._file, f"{stamp} {self._name} | ".encode() + plain + b"\n")
            if os.fstat(self._file).st_size > LOG_BYTES:
                self._turn()
        except OSError:
            pass  # a full disk must not stop the loop: the line is lost

    def _turn(self) -> None:
        """Keep this file as the older one and go on with a new one; a reader always finds one."""
        older, newer = (self._path.with_name(self._path.name + end) for end in (".1", ".new"))
        older.unlink(missing_ok=True)
        older.hardlink_to(self._path)
        os.close(self._file)
        self._file = opened(newer)
        newer.replace(self._path)

    def end(self) -> None:
        """Write what came without an end of line."""
        if self._rest:
            self.write(b"\n")


def opened(path: Path) -> int:
    """Open a file for appending, the owner's alone."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


class Guardian:
    """One program from its start to the end of its last descendant."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._grace_seconds = float(spec["grace_seconds"])
        self._log = Log(spec["log"], spec["name"])
        self._stopping = False
        self._deadline = float("inf")
        self._status: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        if LIBC is not None:  # orphans below us become ours, so that they can be found
            LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._child = self._start(spec)
        assert self._child.stdout is not None
        self._output = self._child.stdout.fileno()
        os.set_blocking(self._output, False)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop()

    def _start(self, spec: dict[str, Any]) -> subprocess.Popen[bytes]:
        def die_with_the_guardian() -> None:
            if LIBC is not None:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        reading, writing = os.pipe()
        os.write(writing, spec["input"].encode())  # fits the pipe's buffer: it is one small line
        os.close(writing)
        child = subprocess.Popen(
            spec["command"],
            stdin=reading,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_the_guardian,  # safe: this process has one thread
        )
        os.close(reading)
        return child

    def guard(self) -> int:
        """Stay until the program has ended, by itself or on order; return its exit status."""
        while self._status is None:
            watched = [self._output] if self._stopping else [self._output, 0]
            readable, _, _ = select.select(watched, [], [], LOOK_SECONDS)
            if 0 in readable and not os.read(0, 4096):
                self._stop()
            if self._output in readable and not self._copy():
                time.sleep(LOOK_SECONDS / 10)  # it closed its output, which is its right
            if time.monotonic() > self._deadline:
                os.kill(self._child.pid, signal.SIGKILL)
            self._reap()
        self._bury()
        self._copy()
        self._log.line(f"ended with status {self._status}".encode())
        self._child.returncode = self._status  # reaped here, not by subprocess
        return self._status if self._status >= 0 else 128 - self._status

    def _stop(self) -> None:
        """Ask the program to end, and note by when it must have."""
        if not self._stopping and self._status is None:
            self._stopping = True
            self._deadline = time.monotonic() + self._grace_seconds
            os.kill(self._child.pid, signal.SIGTERM)

    def _copy(self) -> bool:
        """Copy what was printed to the log; False when nothing will follow."""
        try:
            while data := os.read(self._output, 65_536):
                self._log.write(data)
        except BlockingIOError:
            return True
        self._log.end()
        return False

    def _reap(self) -> None:
        """Collect ended children, adopted ones too."""
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._child.pid:
                    self._status = os.waitstatus_to_exitcode(found[1])
        except ChildProcessError:
            pass  # none is left

    def _bury(self) -> None:
        """Kill whatever the program left running."""
        deadline = time.monotonic() + BURY_SECONDS
        while (below := descendants(os.getpid())) and time.monotonic() < deadline:
            for pid in below:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass  # it has ended meanwhile, or is another user's
            self._reap()
            time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    """Return the processes below a process, nearest first."""
    children: dict[int, list[int]] = {}
    for child, parent in parents():
        children.setdefault(parent, []).append(child)
    found, level = [], [pid]
    while level:
        level = [child for one in level for child in children.get(one, ())]
        found += level
    return found


def parents() -> list[tuple[int, int]]:
    """Return (process, parent) of all processes."""
    if sys.platform != "linux":
        told = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=False)
        numbers = [line.split() for line in told.stdout.splitlines()]
        return [(int(pid), int(parent)) for pid, parent in numbers]
    found = []
    for stat in Path("/proc").glob("[1-9]*/stat"):
        try:
            # The name in parentheses may hold anything, parentheses too.
            parent = int(stat.read_bytes().rpartition(b")")[2].split()[1])
            found.append((int(stat.parent.name), parent))
        except OSError:
            continue  # it has ended meanwhile
    return found


if __name__ == "__main__":
    # Unbuffered: what follows the line is for `select`.
    sys.exit(Guardian(json.loads(os.fdopen(0, "rb", 0, closefd=False).readline())).guard())
