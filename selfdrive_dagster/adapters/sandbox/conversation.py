"""Talking with a process that may be hostile: feed it, read lines, stop it in time.

Stdout is counted and capped, in bytes and in what its JSON would weigh once decoded; of stderr
only the tail is kept, and the whole ends at a deadline.
The caller says how everything is killed, since that depends on the sandbox. Where a `ready` pipe
is given, the request waits for a word on it: a supervisor that dies while the box is being built
leaves a program that finds its stdin empty and ends.
"""

import os
import selectors
import subprocess
import time
from collections.abc import Callable
from typing import IO, Any

import msgspec

from selfdrive_dagster.model import Ending

STDERR_BYTES = 64 * 2**10
CHUNK = 64 * 2**10
MAX_WEIGHT = 4_000_000
"""What all lines of a run may weigh; see `weight_of`. About 150 MB once decoded."""
CONTAINER_WEIGHT = 16
DRAIN_SECONDS = 0.5
"""How long output is awaited after the process has ended, should a grandchild hold the pipe."""

OnLine = Callable[[dict[str, Any]], None]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a process said until it ended or was stopped."""

    ending: Ending
    status: int
    lines: tuple[dict[str, Any], ...]
    stderr: str
    seconds: float


class Conversation:
    """One process and its three pipes."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        kill: Callable[[], None],
        on_line: OnLine | None,
        *,
        seconds: float,
        output_bytes: int,
        ready: int | None = None,
    ) -> None:
        self.process = process
        self.ready = ready
        self.said_ready = b""
        self.kill = kill
        self.on_line = on_line
        self.started = time.monotonic()
        self.deadline = self.started + seconds
        self.output_left = output_bytes
        self.weight_left = MAX_WEIGHT
        self.lines: list[dict[str, Any]] = []
        self.rest = bytearray()
        self.errors = bytearray()
        self.unreadable = 0
        self.stopped: Ending | None = None

    def hold(self, request: bytes) -> Heard:
        """Send the request, listen to the end, kill what remains, and return what was heard."""
        try:
            self._listen(memoryview(request))
        finally:
            self.kill()
            status = self.process.wait()
        self._take_line(self.rest)
        if self.unreadable:
            self.errors += f"\n[sandbox] {self.unreadable} lines of output were no JSON\n".encode()
        return Heard(
            ending=self.stopped or (Ending.KILLED if status < 0 else Ending.EXITED),
            status=status,
            lines=tuple(self.lines),
            stderr=self.errors[-STDERR_BYTES:].decode("utf-8", "replace"),
            seconds=time.monotonic() - self.started,
        )

    def _listen(self, request: memoryview) -> None:
        with selectors.DefaultSelector() as pipes:
            self._open(pipes)
            while pipes.get_map() and not self.stopped:
                for key, _events in pipes.select(self._patience()):
                    if key.data == "stdin":
                        request = self._feed(pipes, key.fd, request)
                    else:
                        self._read(pipes, key.fd, key.data)
                if time.monotonic() >= self.deadline and not self.stopped:
                    if self.process.poll() is not None:
                        return
                    self.stopped = Ending.TIMED_OUT
        if not self.stopped:
            self._await_exit()

    def _await_exit(self) -> None:
        """All pipes are closed: the end follows at once, or in time, or is made."""
        try:
            self.process.wait(max(0.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.stopped = Ending.TIMED_OUT

    def _open(self, pipes: selectors.BaseSelector) -> None:
        for name in ("stdout", "stderr"):
            pipe: IO[bytes] = getattr(self.process, name)
            os.set_blocking(pipe.fileno(), False)
            pipes.register(pipe, selectors.EVENT_READ, name)
        if self.ready is None:
            self._open_stdin(pipes)
        else:
            pipes.register(self.ready, selectors.EVENT_READ, "ready")

    def _open_stdin(self, pipes: selectors.BaseSelector) -> None:
        assert self.process.stdin is not None
        os.set_blocking(self.process.stdin.fileno(), False)
        pipes.register(self.process.stdin, selectors.EVENT_WRITE, "stdin")

    def _patience(self) -> float:
        """Return how long to wait for the next word; an ended process gets only a moment more."""
        if self.process.poll() is not None:
            self.deadline = min(self.deadline, time.monotonic() + DRAIN_SECONDS)
        return max(0.0, min(0.1, self.deadline - time.monotonic()))

    def _feed(self, pipes: selectors.BaseSelector, pipe: int, request: memoryview) -> memoryview:
        try:
            request = request[os.write(pipe, request) :]
        except BrokenPipeError:  # it ended, or closed its stdin, before it had read everything
            request = request[len(request) :]
        if not request:
            pipes.unregister(pipe)
            assert self.process.stdin is not None
            self.process.stdin.close()
        return request

    def _read(self, pipes: selectors.BaseSelector, pipe: int, name: str) -> None:
        data = os.read(pipe, CHUNK)
        if not data:
            pipes.unregister(pipe)
        elif name == "stderr":
            self.errors += data
            del self.errors[: -2 * STDERR_BYTES]
        elif name == "ready":
            self._become_ready(pipes, data)
        else:
            self._take(data)

    def _become_ready(self, pipes: selectors.BaseSelector, data: bytes) -> None:
        if b"\n" in data and b"\n" not in self.said_ready:
            self._open_stdin(pipes)
        self.said_ready += data

    def _take(self, data: bytes) -> None:
        if len(data) > self.output_left:
            self.stopped = Ending.OUTPUT_CAPPED
        data = data[: self.output_left]
        self.output_left -= len(data)
        self.rest += data
        if b"\n" in data:
            *lines, self.rest = self.rest.split(b"\n")
            for line in lines:
                self._take_line(line)

    def _take_line(self, line: bytearray) -> None:
        if not line.strip() or self._is_too_heavy(line):
            return
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1
            return
        self.lines.append(record)
        if self.on_line is not None:
            self.on_line(record)

    def _is_too_heavy(self, line: bytearray) -> bool:
        """Say whether a line breaks the budget; nothing after it is believed either."""
        self.weight_left -= weight_of(line)
        if self.weight_left < 0:
            self.stopped = Ending.OUTPUT_CAPPED
        return self.weight_left < 0


def weight_of(line: bytearray) -> int:
    """Return an upper bound of the values in a line of JSON, a container for CONTAINER_WEIGHT.

    Counted before decoding: eight megabytes of `[],` would become two hundred of lists.
    """
    containers = line.count(b"[") + line.count(b"{")
    return line.count(b",") + CONTAINER_WEIGHT * containers
