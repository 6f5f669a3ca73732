"""A product in a plain folder, without version control: a copy, and a history that is empty."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from selfdrive_dagster.adapters.git.export import MAX_BYTES, MAX_FILES, Exported
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.model import Commit

NOT_COPIED = frozenset(
    (
        *(".git", ".hg", ".svn", ".selfdrive", "node_modules", "__pycache__"),
        *(".venv", "venv", "env", ".tox", ".nox", ".eggs"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
    )
)


class NoHistory:
    """The History port where nothing is known."""

    def blame(self, path: str, line: int) -> Commit | None:
        """Return None: nobody recorded who wrote it."""
        return None

    def changes(self, path: str, limit: int) -> tuple[Commit, ...]:
        """Return nothing: there are no commits."""
        return ()

    def show(self, revision: str, path: str) -> str | None:
        """Return None: there are no revisions."""
        return None


def copy_folder(folder: Path, into: Path) -> Exported:
    """Copy a folder's plain files into an empty or new one, caches and environments left out.

    Links and special files are left out and told. Raises BadInput for more than MAX_BYTES or
    MAX_FILES, SelfdriveError when a file cannot be read or written.
    """
    left_out, files, size = [], 0, 0
    try:
        for path in walk(folder, into.absolute()):
            relative = path.relative_to(folder)
            facts = path.lstat()
            if not stat.S_ISREG(facts.st_mode):
                left_out.append(f"{relative} was left out: it is a link or no plain file.")
                continue
            files, size = files + 1, size + facts.st_size
            refuse_giants(folder, files, size)
            copy_file(path, into / relative, facts.st_mode)
    except OSError as error:
        raise SelfdriveError(
            f"{error.filename or folder} cannot be copied: {error.strerror}.",
            remedy="make it readable, or make room in the temporary folder (TMPDIR)",
        ) from error
    return Exported(files=files, size_bytes=size, left_out=tuple(left_out))


def walk(folder: Path, skip: Path) -> Iterator[Path]:
    """Yield files below a folder, sorted, and links to folders; never enters `skip`."""
    for top, folders, files in os.walk(folder, onerror=raise_it):
        here = Path(top)
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(
            name
            for name in folders
            if not (name in NOT_COPIED or name in linked or (here / name).absolute() == skip)
        )
        yield from (here / name for name in sorted(files + linked) if not name.endswith(".pyc"))


def raise_it(error: OSError) -> None:
    """Let `os.walk` tell of folders that it cannot read: missing files are not no files."""
    raise error


def copy_file(source: Path, target: Path, mode: int) -> None:
    """Copy one file with mode 0644, or 0755 for a program; folders get 0755."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target, follow_symlinks=False)
    target.chmod(0o755 if mode & stat.S_IXUSR else 0o644)


def refuse_giants(folder: Path, files: int, size: int) -> None:
    """Raise BadInput when there is more than we copy."""
    if files > MAX_FILES or size > MAX_BYTES:
        raise BadInput(
            f"{folder} holds more than {MAX_FILES:,} files or {MAX_BYTES / 2**20:,.0f} MiB.",
            remedy="point Selfdrive at the folder of the service alone, or use git",
        )


def folder_revision(folder: Path) -> str:
    """Return `folder-<16 hex>` over all names and bytes: what stands in for a commit."""
    total = hashlib.sha256()
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = os.fsencode(path.relative_to(folder))
        total.update(b"%d %s\0" % (path.stat().st_size, name))
        total.update(path.read_bytes())
    return f"folder-{total.hexdigest()[:16]}"
