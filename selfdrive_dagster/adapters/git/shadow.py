"""The shadow: a private git directory with the repository's objects and refs, not its config.

Everything that reads objects runs here. A shadow is a snapshot of the refs; `refresh` takes
a new one. It is removed when its owner is collected or closed, and by the next one who makes a
shadow when its process was killed.
"""

import os
import shlex
import shutil
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.git.command import (
    GitFailed,
    local_environment,
    network_environment,
    run_git,
)
from selfdrive_dagster.adapters.git.folders import claim_folder, give_up
from selfdrive_dagster.adapters.git.waiting import Waiting


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a repository is. `prefix` leads from `top` to the product, "" or "shop/"."""

    git_dir: Path
    common_dir: Path
    object_format: str
    top: Path | None
    prefix: str


class Remote(msgspec.Struct, frozen=True):
    """An address as the shadow's config tells it to git, so that no command line shows it.

    `secret` is a line for git's own `store` helper. Then the user's helpers are not asked:
    they would keep what is not theirs.
    """

    url: str
    user: str = ""
    secret: str = ""

    def config(self, name: str, secret: Path) -> str:
        """Return the sections of a config file that make `name` mean this remote."""
        helper = f"store --file={shlex.quote(str(secret))}"
        helpers = f"\thelper =\n\thelper = {quoted(helper)}\n" if self.secret else ""
        user = f"\tusername = {quoted(self.user)}\n" if self.user and not self.secret else ""
        return f'[remote "{name}"]\n\turl = {quoted(self.url)}\n[credential]\n{user}{helpers}'


def quoted(value: str) -> str:
    """Return a value as git's config files write it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


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
        self.waiting = Waiting()
        self.folder, claim = claim_folder()
        self.close = weakref.finalize(self, give_up, self.folder, claim)
        for name in ("refs", "objects/info", "info"):
            (self.folder / name).mkdir(parents=True)
        borrowed = os.fsencode(place.common_dir / "objects") + b"\n"
        (self.folder / "objects" / "info" / "alternates").write_bytes(borrowed)
        self.write("config", self.config())
        self.refresh()

    def config(self) -> str:
        """Return what the shadow's config says of itself."""
        return (
            "[core]\n\trepositoryformatversion = 1\n\tbare = true\n"
            f"[extensions]\n\tobjectformat = {self.place.object_format}\n"
        )

    def write(self, name: str, text: str) -> None:
        """Write a file of the shadow that nobody else may read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)

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

    def over_network(
        self,
        verb: str,
        options: Sequence[str],
        remote: Remote,
        *arguments: str,
        seconds: float = 120.0,
    ) -> bytes:
        """Run push or fetch from the shadow, with the user's credentials, not the repository's.

        Raises Busy where its user waited long enough (`waiting`).
        """
        environ = network_environment() | {"GIT_DIR": str(self.folder)}
        where = self.place.top or self.place.git_dir
        with self.waiting.spending() as left, self.knowing(remote) as name:
            words = [verb, *options, "--end-of-options", name, *arguments]
            return run_git(words, cwd=where, environ=environ, seconds=min(seconds, left))

    @contextmanager
    def knowing(self, remote: Remote) -> Iterator[str]:
        """Let the shadow's config know a remote, by a name that no other config holds."""
        name, secret = self.folder.name, self.folder / "credentials"
        try:
            self.write(secret.name, remote.secret)
            self.write("config", self.config() + remote.config(name, secret))
            yield name
        finally:
            self.write("config", self.config())
            secret.unlink(missing_ok=True)

    def real(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git in the repository's own directory: only what executes nothing there."""
        where = ["--git-dir", str(self.place.git_dir)]
        committer = {
            "GIT_COMMITTER_NAME": "Selfdrive",
            "GIT_COMMITTER_EMAIL": "selfdrive@localhost",
        }
        environ = local_environment() | committer
        return run_git([*where, *arguments], cwd=self.folder, environ=environ, stdin=stdin)
