"""The sandbox tries itself: every hostile act of `hostile.py`, each in a forked child.

One line per act: `{probe, worked, says}`. `worked` true means the act succeeded, so the sandbox
failed. An act that ends its own process, or hangs, did not work. Acts that may bring the whole
sandbox down come last and are announced with `worked` null.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import Any

from . import hostile

SECONDS_PER_ACT = 8.0


def main(spec: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> int:
    """Try the acts that `spec["acts"]` names, in its order; `spec` tells where the victims are."""
    for name in spec["acts"]:
        emit({"probe": name, "worked": None, "says": "begun"})
        worked, says = attempt(hostile.ACTS[name], spec)
        emit({"probe": name, "worked": worked, "says": says})
    return 0


def attempt(act: Callable[[dict[str, Any]], str], spec: dict[str, Any]) -> tuple[bool, str]:
    """Run one act in a child. Returns whether it worked, and what it said."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.setpgid(0, 0)
        os.write(writing, perform(act, spec).encode()[:4000])
        os._exit(0)
    os.close(writing)
    said = listen(reading)
    for target in (-pid, pid):
        try:
            os.kill(target, signal.SIGKILL)
        except OSError:  # it has gone already
            pass
    os.waitpid(pid, 0)
    os.close(reading)
    return said.startswith("+"), said[1:] or "the act ended without a word"


def listen(reading: int) -> str:
    """Return what the child wrote in its time, empty if nothing."""
    ready, _, _ = select.select([reading], [], [], SECONDS_PER_ACT)
    return os.read(reading, 4096).decode("utf-8", "replace") if ready else ""


def perform(act: Callable[[dict[str, Any]], str], spec: dict[str, Any]) -> str:
    """Return "+what it got" if the act worked, "-why not" if it did not."""
    try:
        return "+" + act(spec)
    except hostile.Held as held:
        return f"-{held}"
    except Exception as error:
        return f"-{type(error).__name__}: {error}"
