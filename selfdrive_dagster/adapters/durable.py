"""Small files that outlive a power cut: whole under their name, or the one before, or absent.

A file that must change on a full disk as well has a ready one beside it: taking its place is a
rename, which needs no room. Does not belong here: what is appended to (`segments`,
`canary.store`), and what a file means.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOM = 16 * 2**10
"""Bytes of a ready file, blanks at its end: what is put into it later needs no new block."""


def write_whole(path: Path, data: bytes, still: Callable[[], object] = lambda: None) -> None:
    """Write a file (0600); when this returns, its bytes and its name are on the disk.

    `still` is asked last, when nothing but the rename is left, and raises where it must not be.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=unborn(path))  # mode 0600 by itself
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        still()
        Path(name).replace(path)
    except BaseException:  # a full disk, Ctrl-C: leave no half file behind, then go on failing
        Path(name).unlink(missing_ok=True)
        raise
    sync(path.parent)


def unborn(path: Path) -> str:
    """Return how the names begin under which a file is written before it takes its own."""
    return f".new-{path.name}-"


def forget_unborn(path: Path) -> None:
    """Take from writers what they have not put in place: their rename then fails, however late."""
    for late in path.parent.glob(f"{unborn(path)}*"):
        late.unlink(missing_ok=True)


def ready_of(path: Path) -> Path:
    """Return the file that stands ready to take another's place."""
    return path.with_name(f"{path.name}.ready")


def make_ready(path: Path, data: bytes) -> None:
    """Keep a file ready that can take the place of another, and holds this unless told else."""
    write_whole(ready_of(path), data.ljust(ROOM))


def take_ready(path: Path, data: bytes = b"") -> None:
    """Let the ready file take its place; with `data` where that fits and can be written.

    Needs no room. Raises FileNotFoundError when none stands ready.
    """
    ready = ready_of(path)
    if data and len(data) <= ROOM:
        overwrite(ready, data.ljust(ROOM))
    ready.replace(path)
    sync(path.parent)


def overwrite(path: Path, data: bytes) -> None:
    """Put bytes over as many of a file; one that copies on writing may refuse, and stays."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, 0)
        os.fsync(descriptor)
    except OSError:
        pass  # what it held before does as well
    finally:
        os.close(descriptor)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
