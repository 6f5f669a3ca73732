"""Which folders an interpreter needs, so that it can be seen inside.

A venv's `python` is a chain of symlinks into pyenv, uv or the system; each hop's prefix must be
bound at its own path. The interpreter is asked with `-I -S`, since a `.pth` file or
`sitecustomize` of the product would run on the host otherwise.
"""

import subprocess
from functools import cache
from pathlib import Path

import msgspec

from selfdrive_dagster.errors import BadInput, MissingTool, Refused

ASK = "import sys; print(sys.base_prefix, sys.base_exec_prefix, sep='\\n')"
SYSTEM = (Path("/usr"), Path("/bin"), Path("/lib"))
MOST_HOPS = 20


class Prefix(msgspec.Struct, frozen=True, kw_only=True):
    """A folder to bind: `source` on the host, shown at `path` inside."""

    source: Path
    path: Path


@cache
def prefixes(python: str) -> tuple[Prefix, ...]:
    """Return what to bind for an interpreter, besides /usr. Raises MissingTool or Refused."""
    hops = _hops(Path(python))
    folders = [hop.parent.parent for hop in hops] + _base_prefixes(python)
    bound: list[Prefix] = []
    for folder in folders:
        if any(_within(folder, known) for known in (*SYSTEM, *(one.path for one in bound))):
            continue
        _refuse_a_home(folder, python)
        bound.append(Prefix(source=folder.resolve(), path=folder))
    return tuple(bound)


def unreadable_by_others(python: str) -> Path | None:
    """Return the part of the interpreter that other users may not read, None if all is well."""
    for prefix in prefixes(python):
        for path in (prefix.source, prefix.source / "bin", prefix.source / "lib"):
            if path.is_dir() and path.stat().st_mode & 0o005 != 0o005:
                return path
    binary = Path(python).resolve()
    return None if binary.stat().st_mode & 0o005 == 0o005 else binary


def _hops(path: Path) -> list[Path]:
    """Return the interpreter's path and every path its symlinks lead through."""
    if not path.is_absolute() or not path.exists():
        raise MissingTool(
            f"the product's interpreter {str(path)!r} is not there",
            remedy="give the absolute path of the python in the product's environment",
        )
    hops = [path]
    while hops[-1].is_symlink() and len(hops) < MOST_HOPS:
        target = hops[-1].parent / hops[-1].readlink()
        hops.append(Path(_without_dots(target)))
    return hops


def _without_dots(path: Path) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return str(Path(*parts))


def _base_prefixes(python: str) -> list[Path]:
    try:
        said = subprocess.run(
            [python, "-I", "-S", "-B", "-c", ASK],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            env={},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BadInput(
            f"the product's interpreter {python!r} does not run: {error}",
            remedy="name a working Python 3.9 or newer",
        ) from error
    return [Path(line) for line in said.stdout.splitlines()]


def _refuse_a_home(folder: Path, python: str) -> None:
    homes = (Path.home(), Path("/home"), Path("/root"), Path("/etc"), Path("/var"))
    if any(_within(home, folder) for home in homes):
        raise Refused(
            f"the interpreter {python!r} has the prefix {str(folder)!r}: showing it inside would "
            "show private files as well",
            remedy="make a virtual environment for the product in a folder of its own",
        )


def _within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents
