"""One repository: its revisions, its trees, its branches.

Reads and writes objects through the shadow. The working tree and the index are never
touched, except by `apply_to_worktree`, which a user must ask for.
"""

from collections.abc import Mapping
from pathlib import Path

from selfdrive_dagster.adapters.git import branches, remotes
from selfdrive_dagster.adapters.git.command import GitFailed
from selfdrive_dagster.adapters.git.export import Exported, export_tree
from selfdrive_dagster.adapters.git.history import GitHistory
from selfdrive_dagster.adapters.git.shadow import Shadow, locate
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.markdown import commit_message

SELFDRIVE = "Selfdrive <selfdrive@localhost>"


class GitRepository:
    """The repository that holds a folder; the folder may lie deep inside it.

    A snapshot: `refresh` sees what others did since. Raises BadInput when there is none.
    """

    def __init__(self, path: Path) -> None:
        place = locate(path)
        if place is None:
            raise BadInput(f"{path} is not in a git repository.", remedy=f"git -C {path} init")
        self.path = path
        self.shadow = Shadow(place)

    @classmethod
    def find(cls, path: Path) -> "GitRepository | None":
        """Return the repository that has this folder's files, None for a plain folder.

        A folder that lies in a repository which does not know its files counts as plain.
        """
        if locate(path) is None:
            return None
        repository = cls(path)
        known = repository.is_empty() or repository.has_folder("HEAD")
        return repository if known or not repository.shadow.place.prefix else None

    def refresh(self) -> None:
        """Look again at refs that others may have moved."""
        self.shadow.refresh()

    # Revisions

    def is_empty(self) -> bool:
        """Say whether HEAD has no commit yet."""
        return self.lookup("HEAD") is None

    def is_shallow(self) -> bool:
        """Say whether the past was cut off when this was cloned."""
        return (self.shadow.folder / "shallow").exists()

    def revision(self, name: str = "HEAD") -> str:
        """Return the commit that a name stands for. Raises BadInput with what to do."""
        sha = self.lookup(name)
        if sha is None and name == "HEAD":
            raise BadInput(
                f"The repository {self.path} has no commit yet.",
                remedy="commit the product's files first: git add -A && git commit",
            )
        if sha is None:
            raise BadInput(
                f"There is no revision {name!r} in {self.path}.",
                remedy="name a branch, tag or commit that `git log` knows"
                + " (this clone is shallow: git fetch --unshallow)" * self.is_shallow(),
            )
        return sha

    def lookup(self, name: str) -> str | None:
        """Return the commit that a name stands for, None when there is none."""
        try:
            told = self.shadow.git(
                *("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
            )
        except GitFailed:
            return None
        return told.decode().strip()

    def current_branch(self) -> str | None:
        """Return the branch that HEAD names, None when it is detached."""
        try:
            return self.shadow.git("symbolic-ref", "--short", "--quiet", "HEAD").decode().strip()
        except GitFailed:
            return None

    def default_branch(self) -> str | None:
        """Return the branch that `origin` calls its own, else the current, `main` or `master`."""
        try:
            told = self.shadow.real("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
            return told.decode().strip().removeprefix("refs/remotes/origin/")
        except GitFailed:
            names = (self.current_branch(), "main", "master")
        return next((name for name in names if name and self.lookup(f"refs/heads/{name}")), None)

    def dirty(self, *, untracked: bool = False) -> tuple[str, ...] | None:
        """Return tracked files of the product that differ from HEAD; None when unknown.

        With `untracked` also files that git neither knows nor ignores. A file that only a
        filter of the repository could compare counts as different.
        """
        if self.shadow.place.top is None:
            return ()
        new = f"--untracked-files={'all' if untracked else 'no'}"
        quiet = (new, "--ignore-submodules=all", "--no-renames")
        where = self.shadow.place.prefix or "."
        try:
            told = self.shadow.over_worktree("status", "--porcelain", "-z", *quiet, "--", where)
        except GitFailed:
            return None
        return tuple(row[3:].decode(errors="replace") for row in told.split(b"\0") if row)

    # Trees

    def tree(self, revision: str) -> str:
        """Return the id of the product's tree at a revision."""
        return self.shadow.git("rev-parse", "--verify", self.tree_name(revision)).decode().strip()

    def tree_name(self, revision: str) -> str:
        """Return git's name for the product's tree at a revision."""
        return f"{self.revision(revision)}:{self.shadow.place.prefix.rstrip('/')}"

    def has_folder(self, revision: str) -> bool:
        """Say whether the product's folder is part of a revision."""
        try:
            self.tree(revision)
        except GitFailed:
            return False
        return True

    def export(self, revision: str, into: Path) -> Exported:
        """Write the product's files of a revision into an empty folder, without `.git`."""
        if not self.has_folder(revision):
            raise BadInput(
                f"The folder {self.shadow.place.prefix} is not part of revision {revision}.",
                remedy="name a revision that has it, or commit the folder first",
            )
        return export_tree(self.shadow, self.tree(revision), into)

    def history(self, revision: str) -> GitHistory:
        """Return the History port, seen from a revision."""
        return GitHistory(self.shadow, self.revision(revision))

    # Branches

    def commit_branch(
        self,
        name: str,
        *,
        base: str,
        overlay: Mapping[str, str | None],
        message: str,
        author: str = SELFDRIVE,
        expected: str | None = None,
    ) -> str:
        """Write a branch with one commit on top of `base` and return its sha.

        `overlay` maps paths of the product to their new text, None deletes. `expected` is the
        commit that the branch must be at now; None: it must not exist. Neither the index nor
        the working tree changes. What a forge would act on in the message is written out.
        Raises Refused or BadInput, and then no ref has moved.
        """
        ref = branches.branch_ref(self.shadow, name)
        parent = self.revision(base)
        tree = branches.write_tree(self.shadow, parent, overlay)
        if tree == self.shadow.git("rev-parse", f"{parent}^{{tree}}").decode().strip():
            raise Refused(f"The branch {name} would change nothing.")
        words = commit_message(message)
        sha = branches.write_commit(self.shadow, tree, parent, words, author)
        branches.move_ref(self.shadow, ref, sha, expected)
        return sha

    def check_new_branch(self, name: str) -> None:
        """Raise BadInput or Refused where a new branch of this name could not be written."""
        branches.check_writable(self.shadow)
        branches.check_new(self.shadow, name)

    def check_worktree(self, patch: str) -> None:
        """Raise Refused where `apply_to_worktree` would; change nothing."""
        branches.check_worktree(self.shadow, patch)

    def apply_to_worktree(self, patch: str) -> None:
        """Apply a unified diff to the product's working tree: all of it or nothing.

        Raises Refused when it does not fit, changes modes or links, or there is no tree.
        """
        branches.apply_to_worktree(self.shadow, patch)

    # Others

    def fetch(self, remote: str, branch: str) -> str:
        """Return the commit a remote's branch is at; the repository itself stays as it is."""
        return self.revision(remotes.fetch(self.shadow, remote, branch))
