"""Disks without room: a tiny real file system, and a process that may write nothing at all."""

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BALLAST = "ballast"


@contextmanager
def tiny_disk(place: Path, size: str = "256k") -> Iterator[Path]:
    """A folder on a file system of that size; skips the test where none can be mounted."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: that takes root and its powers")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Take all the room that is left."""
    for block in (4096, 1):
        try:
            with (place / BALLAST).open("ab", buffering=0) as ballast:
                while True:
                    ballast.write(b"x" * block)
        except OSError:
            continue


def make_room(place: Path) -> None:
    """Give the room back."""
    (place / BALLAST).unlink()


@contextmanager
def nothing_written() -> Iterator[None]:
    """No byte of any file can be written in this process, not even over another."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
