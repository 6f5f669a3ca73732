"""What the first program inside is told, and the command and environment it is started with.

Shared by every sandbox, the tests' stand-in included, so that a program sees the same world
in each of them.
"""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Job

HARNESS = Path(__file__).resolve().parents[2] / "harness"
"""The folder that holds the programs; the host never imports from it."""

OPEN_FILES = 1024
FILE_BYTES = 256 * 2**20
PROCESSES = 256


def command(python: str, harness: Path = HARNESS) -> list[str]:
    """Return how the first program is started.

    `-s -B` and a bare environment instead of `-I`, which would ignore PYTHONHASHSEED.
    """
    return [python, "-s", "-B", str(harness / "boot.py")]


def environment(job: Job, home: str) -> dict[str, str]:
    """Return the whole environment inside: nothing is inherited. `home` is also for temporaries."""
    return {
        "PATH": f"{Path(job.python).parent}:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": str(job.hash_seed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONFAULTHANDLER": "1",
    }


def boot_request(job: Job, *, tree: str, work: str, limits: dict[str, int]) -> bytes:
    """Return the JSON that `boot.py` reads. Raises BadInput for an overlay that leaves the tree."""
    refuse_escapes(job)
    request: dict[str, Any] = {
        "program": job.program,
        "spec": job.spec,
        "overlay": job.overlay,
        "import_roots": list(job.import_roots),
        "tree": tree,
        "work": work,
        "limits": limits,
    }
    return msgspec.json.encode(request)


def limits_inside(job: Job) -> dict[str, int]:
    """Return the limits that must be set inside the namespace, for `boot.py`.

    RLIMIT_NPROC counts per user namespace there, not every task of the user. RLIMIT_AS is left
    out: it kills programs with many threads, and the memory limit outside counts what is used.
    """
    return {
        "nproc": PROCESSES,
        "nofile": OPEN_FILES,
        "fsize": FILE_BYTES,
        "core": 0,
        "cpu": (int(job.seconds) + 2) * (os.cpu_count() or 1),  # many threads burn it together
    }


def refuse_escapes(job: Job) -> None:
    """Raise BadInput when a program, overlay path or import root is not what it must be."""
    if not job.program.isidentifier():
        raise BadInput(f"harness program {job.program!r} is not a module name")
    if job.tree and not Path(job.tree).is_dir():
        raise BadInput(f"the tree {job.tree!r} is not a folder", remedy="export the revision first")
    for path in (*job.overlay, *(root for root in job.import_roots if root != ".")):
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or "\0" in path or {"..", ".git"} & set(parts):
            raise BadInput(
                f"path {path!r} would leave the work copy",
                remedy="give relative paths without '..' and '.git'",
            )
