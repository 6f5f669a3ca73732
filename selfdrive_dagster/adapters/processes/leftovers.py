"""Processes of a loop that outlived it, found by the marks that every one of them carries.

Normally there are none: a guardian ends with its owner and takes everything along. But a
guardian can be killed as well, and then what a service had started stands alone.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

HOME_MARK = "SELFDRIVE_LOOP"
PART_MARK = "SELFDRIVE_LOOP_PART"
LOOK_SECONDS = 0.1


def marked(environ: Mapping[str, str], home: Path, part: str) -> dict[str, str]:
    """Return an environment that tells whose process it is."""
    return {**environ, HOME_MARK: str(home), PART_MARK: part}


def leftovers(home: Path, part: str = "") -> tuple[psutil.Process, ...]:
    """Return the processes that a loop of this home (and this part of it) started."""
    wanted = {HOME_MARK: str(home), **({PART_MARK: part} if part else {})}
    return tuple(
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and wanted.items() <= marks(process).items()
    )


def marks(process: psutil.Process) -> dict[str, str]:
    """Return the environment that a process was started with; {} for what is not ours."""
    try:
        return process.environ()
    except (psutil.Error, OSError):  # ended meanwhile, not started by us, or a zombie
        return {}


def end_all(home: Path, part: str = "", patience_seconds: float = 0.0) -> int:
    """End what is left; return how many had to be killed after `patience_seconds`."""
    deadline = time.monotonic() + patience_seconds
    while (left := leftovers(home, part)) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    killed = 0
    while left:
        for process in left:
            try:
                process.kill()
                killed += 1
            except psutil.NoSuchProcess:
                pass  # it was quicker
        psutil.wait_procs(left, timeout=1.0)
        left = leftovers(home, part)
    return killed
