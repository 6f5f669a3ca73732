"""The first program inside the sandbox: prepares the work copy, then calls one harness program.

Reads one JSON object from stdin:
`{program, spec, overlay, import_roots, tree, work, limits}`. Copies `tree` to `work`, lays the
overlay over it, narrows the limits and calls `main(spec, emit)` of the sibling `<program>.py`.
Lines given to `emit` go to a private copy of stdout, so that whatever the product prints ends on
stderr. Judging results does not belong here; neither does anything the host has to trust.

Started as `python -s -B boot.py` with a bare environment. Not with `-I`: that would ignore
PYTHONHASHSEED, and with it the run could not be repeated.
"""

from __future__ import annotations

import sys

HERE = sys.path.pop(0) if __name__ == "__main__" else ""  # the product must not see our folder

import fcntl  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import shutil  # noqa: E402
import stat  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import traceback  # noqa: E402
import types  # noqa: E402
from typing import Any  # noqa: E402

PACKAGE = "selfdrive_harness"
CRASHED = 97
UNPREPARED = 98
"""Exit statuses: the program raised; the work copy could not be made (stderr says why)."""

LIMITS = {
    "nproc": resource.RLIMIT_NPROC,
    "nofile": resource.RLIMIT_NOFILE,
    "fsize": resource.RLIMIT_FSIZE,
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "as": resource.RLIMIT_AS,
}


class Unprepared(Exception):
    """The tree or the overlay cannot be laid out."""


class Emitter:
    """Writes one JSON line at a time to a private descriptor, from any thread or forked child.

    A lock on an unlinked file keeps long lines of several processes apart. A line begins with a
    newline of its own, so that one torn by a killed child does not spoil its successor.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.turn = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self.threads = threading.Lock()
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.threads = threading.Lock()

    def __call__(self, line: dict[str, Any]) -> None:
        """Write one line, whole."""
        left = memoryview(b"\n" + json.dumps(line).encode() + b"\n")
        with self.threads:
            fcntl.lockf(self.turn, fcntl.LOCK_EX)
            try:
                while left:
                    left = left[os.write(self.descriptor, left) :]
            finally:
                fcntl.lockf(self.turn, fcntl.LOCK_UN)


def take_stdout() -> int:
    """Return a private copy of stdout; from here on stdout is stderr and stdin is empty."""
    private = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 100)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return private


def copy_tree(tree: str, work: str) -> None:
    """Copy regular files, folders and symlinks; leave out `.git`, sockets, pipes and devices."""

    def unwanted(folder: str, names: list[str]) -> list[str]:
        return [
            name for name in names if name == ".git" or not copyable(os.path.join(folder, name))
        ]

    shutil.copytree(tree, work, symlinks=True, ignore=unwanted, dirs_exist_ok=True)


def copyable(path: str) -> bool:
    """Say whether a path is a regular file, a folder or a symlink."""
    mode = os.lstat(path).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def overlay_target(work: str, relative: str) -> str:
    """Return where an overlay entry goes. Raises Unprepared when it would leave the work copy."""
    parts = relative.split("/")
    if not relative or relative.startswith("/") or {"", ".", "..", ".git"} & set(parts):
        raise Unprepared(f"overlay path {relative!r} must be relative, without '..' and '.git'")
    if "\0" in relative:
        raise Unprepared(f"overlay path {relative!r} holds a null byte")
    path = work
    for part in parts:
        path = os.path.join(path, part)
        if os.path.islink(path):
            raise Unprepared(f"overlay path {relative!r} goes through a symlink")
    return path


def lay_over(work: str, overlay: dict[str, str | None]) -> None:
    """Write the overlay's texts into the work copy; None deletes a file."""
    for relative, text in overlay.items():
        target = overlay_target(work, relative)
        if text is None:
            if os.path.lexists(target):
                os.unlink(target)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8", newline="") as file:
            file.write(text)


def narrow(limits: dict[str, int]) -> None:
    """Set hard resource limits, never above those already in force."""
    for name, value in limits.items():
        _soft, hard = resource.getrlimit(LIMITS[name])
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(LIMITS[name], (least, least))


def enter(work: str, import_roots: list[str]) -> None:
    """Make the work copy the current folder and the first place to import from."""
    os.chdir(work)
    roots = [os.path.normpath(os.path.join(work, root)) for root in import_roots]
    sys.path[:0] = roots
    os.environ["PYTHONPATH"] = os.pathsep.join(roots)


def program_module(name: str) -> types.ModuleType:
    """Import a sibling program as `selfdrive_harness.<name>`, its folder unseen by the product."""
    package = types.ModuleType(PACKAGE)
    package.__path__ = [HERE or os.path.dirname(os.path.abspath(__file__))]
    sys.modules[PACKAGE] = package
    return importlib.import_module(f"{PACKAGE}.{name}")


def prepare(request: dict[str, Any]) -> None:
    """Lay out the work copy and narrow the limits. Raises Unprepared or OSError."""
    if request.get("tree"):
        copy_tree(request["tree"], request["work"])
    lay_over(request["work"], request["overlay"])
    enter(request["work"], request["import_roots"])
    narrow(request["limits"])


def boot() -> int:
    """Prepare, run the program, and return the status to exit with."""
    request = json.loads(sys.stdin.buffer.read())
    emit = Emitter(take_stdout())
    try:
        prepare(request)
    except (Unprepared, OSError, shutil.Error, ValueError) as error:
        print(f"The work copy could not be made: {error}", file=sys.stderr)
        return UNPREPARED
    sys.argv = [request["program"]]
    return int(program_module(request["program"]).main(request["spec"], emit))


if __name__ == "__main__":
    status = CRASHED
    try:
        status = boot()
    except BaseException:  # whatever the product raises, the traceback must reach the host
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)  # the product's threads and exit hooks have no say in when we end
