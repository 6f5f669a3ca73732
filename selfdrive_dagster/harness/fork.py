"""Do a piece of work in a forked child and get a JSON answer, or how it was lost.

A fork keeps every side effect of a try to itself: memory, patched code, open transactions.
What it does not keep apart is the disk; the sandbox's work directory is thrown away.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable
from enum import Enum
from typing import Any


class Lost(Enum):
    """Why there is no answer: patience ran out, or the child was gone before it had answered."""

    HUNG = "hung"
    DIED = "died"


def now() -> float:
    """Return seconds on a clock that no test can stop: libraries freeze those of `time`."""
    return os.times().elapsed


def in_child(work: Callable[[], Any], patience: float) -> Any:
    """Return what `work` returned in a child of its own, or a `Lost` if it never answered."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            os.setpgid(0, 0)
            _write_all(writer, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    try:
        data = _read_until(reader, now() + patience)
    finally:
        os.close(reader)
        _end_group(child)
    if data is None:
        return Lost.HUNG
    try:
        return json.loads(data)
    except ValueError:  # it died before its answer, or in the middle of it
        return Lost.DIED


def _read_until(reader: int, end: float) -> bytes | None:
    chunks: list[bytes] = []
    while (left := end - now()) > 0:
        if not select.select([reader], [], [], left)[0]:
            return None
        chunk = os.read(reader, 65536)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
    return None


def _end_group(child: int) -> None:
    """Kill the child's whole process group, so that nothing it started stays."""
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # gone already, or it had not become a group leader yet
    os.waitpid(child, 0)


def _write_all(writer: int, data: bytes) -> None:
    while data:
        data = data[os.write(writer, data) :]
