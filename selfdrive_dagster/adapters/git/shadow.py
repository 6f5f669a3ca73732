"""The shadow: a private git directory with the repository's objects and refs, not its config.

Everything that reads objects runs here. A shadow is a snapshot of the refs; `refresh` takes
a new one. It is removed when its owner is collected or closed.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.git.command import (
    GitFailed,
    local_environment,
    network_environment,
    run_git,
)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a repository is. `prefix` leads from `top` to the product, "" or "shop/"."""

    git_dir: Path
    common_dir: Path
    object_format: str
    top: Path | None
    prefix: str


def locate(path: Path) -> Place | None:
    """Return the repository that holds a folder, None when there is none."""

    def ask(*arguments: str) -> list[str]:
        words = run_git(["rev-parse", *arguments], cwd=path, environ=local_environment())
        return os.fsdecode(words).split("\n")

    try:
        bare, git_dir, common_dir, form, *_ = ask(
            "--is-bare-repository",
            "--absolute-git-dir",
            "--path-format=absolute",
            "--git-common-dir",
            "--show-object-format",
        )
        inside = ask("--is-inside-work-tree")[0] == "true"
        top, prefix, *_ = ask("--show-toplevel", "--show-prefix") if inside else ("", "")
    except GitFailed as error:
        if "not a git repository" in error.says:
            return None
        raise
    if not inside and bare != "true":
        return None  # a folder inside `.git` itself
    return Place(
        git_dir=Path(git_dir),
        common_dir=Path(common_dir),
        object_format=form,
        top=Path(top) if inside else None,
        prefix=prefix,
    )


class Shadow:
    """A private git directory over the objects of `place`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = Path(tempfile.mkdtemp(prefix="selfdrive-git-"))
        self.close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        for name in ("refs", "objects/info", "info"):
            (self.folder / name).mkdir(parents=True)
        borrowed = os.fsencode(place.common_dir / "objects") + b"\n"
        (self.folder / "objects" / "info" / "alternates").write_bytes(borrowed)
        (self.folder / "config").write_text(
            "[core]\n\trepositoryformatversion = 1\n\tbare = true\n"
            f"[extensions]\n\tobjectformat = {place.object_format}\n"
        )
        self.refresh()

    def refresh(self) -> None:
        """Copy the repository's refs, HEAD and shallow boundary again."""
        refs = self.real("for-each-ref", "--format=%(objectname) %(refname)")
        (self.folder / "packed-refs").write_bytes(refs)
        (self.folder / "HEAD").write_bytes((self.place.git_dir / "HEAD").read_bytes())
        boundary = self.place.common_dir / "shallow"
        if boundary.exists():
            shutil.copyfile(boundary, self.folder / "shallow")

    def git(
        self, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> bytes:
        """Run git in the shadow; `extra` adds to the environment."""
        environ = self.environment() | dict(extra or {})
        return run_git(arguments, cwd=self.folder, environ=environ, stdin=stdin)

    def environment(self) -> dict[str, str]:
        """Return the environment that makes git work in the shadow."""
        return local_environment() | {"GIT_DIR": str(self.folder)}

    def writing(self) -> dict[str, str]:
        """Return what to add so that new objects land in the repository itself."""
        return {"GIT_OBJECT_DIRECTORY": str(self.place.common_dir / "objects")}

    def over_worktree(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git in the shadow with the product's files and index; needs `place.top`."""
        top = self.place.top or self.folder
        environ = self.environment() | {
            "GIT_WORK_TREE": str(top),
            "GIT_INDEX_FILE": str(self.place.git_dir / "index"),
        }
        return run_git(arguments, cwd=top, environ=environ, stdin=stdin)

    def over_network(self, *arguments: str, seconds: float = 120.0) -> bytes:
        """Run push or fetch from the shadow, with the user's credentials, not the repository's."""
        environ = network_environment() | {"GIT_DIR": str(self.folder)}
        where = self.place.top or self.place.git_dir
        return run_git(arguments, cwd=where, environ=environ, seconds=seconds)

    def real(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git in the repository's own directory: only what executes nothing there."""
        where = ["--git-dir", str(self.place.git_dir)]
        committer = {
            "GIT_COMMITTER_NAME": "Selfdrive",
            "GIT_COMMITTER_EMAIL": "selfdrive@localhost",
        }
        environ = local_environment() | committer
        return run_git([*where, *arguments], cwd=self.folder, environ=environ, stdin=stdin)
