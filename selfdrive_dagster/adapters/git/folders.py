"""Private folders that outlive no process: locked while their owner lives, swept when it is gone.

A process that is killed removes nothing. But the kernel drops its lock on the folder, so whoever
makes the next folder knows which are nobody's any more. Does not belong here: what is in them.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "selfdrive-shadow-"


def claim_folder() -> tuple[Path, int]:
    """Make a folder for this process and sweep those of dead ones.

    Returns the folder and the descriptor that holds it; `give_up` takes both. It gets its name
    once it is locked: until then no sweeper sees it.
    """
    sweep()
    making = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
    descriptor = os.open(making, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return making.rename(making.with_name(making.name.removeprefix("."))), descriptor


def give_up(folder: Path, descriptor: int) -> None:
    """Remove a folder of ours."""
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


def sweep() -> None:
    """Remove the folders of this account whose processes have ended without doing so."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(
                folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except OSError:
            continue  # removed meanwhile, or no folder of ours
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its owner lives
        finally:
            os.close(descriptor)
