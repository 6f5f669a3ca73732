"""What git knows of one revision's past: the `History` port."""

from collections.abc import Iterator

from selfdrive_dagster.adapters.git.command import GitFailed
from selfdrive_dagster.adapters.git.shadow import Shadow
from selfdrive_dagster.model import Commit

FORMAT = "--format=%H%x00%aI%x00%an%x00%s"
WINDOW = 60
"""Lines before and behind one that is asked for, about which git is asked in the same call."""


class GitHistory:
    """History as seen from one base revision. Paths are relative to the product."""

    def __init__(self, shadow: Shadow, revision: str) -> None:
        self.shadow = shadow
        self.revision = revision
        self._blamed: dict[tuple[str, int], Commit | None] = {}
        self._commits: dict[str, Commit | None] = {}

    def blame(self, path: str, line: int) -> Commit | None:
        """Return the commit that last touched a line, None when there is no such line."""
        if (path, line) not in self._blamed:
            self._blamed |= {(path, line): None, **self._around(path, line)}
        return self._blamed[path, line]

    def _around(self, path: str, line: int) -> dict[tuple[str, int], Commit | None]:
        """Ask for a line and its neighbours at once: who asks for one asks for more."""
        place = f"-L{max(1, line - WINDOW)},{line + WINDOW}"
        try:
            told = self.shadow.git(
                *("blame", "--porcelain", "--no-textconv", place, self.revision),
                *("--", self.full(path)),
            )
        except GitFailed:
            return {}
        return {(path, number): self.commit(sha) for number, sha in _blamed(told)}

    def changes(self, path: str, limit: int) -> tuple[Commit, ...]:
        """Return the newest commits that touched a file, newest first."""
        told = self.shadow.git(
            *("log", f"--max-count={limit}", FORMAT, self.revision, "--", self.full(path))
        )
        return read_commits(told)

    def show(self, revision: str, path: str) -> str | None:
        """Return a file's text at a revision, None if it (or the revision) was not there."""
        if revision.startswith("-"):
            return None
        try:
            blob = self.shadow.git("cat-file", "blob", f"{revision}:{self.full(path)}")
        except GitFailed:
            return None
        return blob.decode(errors="replace")

    def commit(self, sha: str) -> Commit | None:
        """Return one commit's record."""
        if sha not in self._commits:
            told = self.shadow.git("log", "--max-count=1", FORMAT, sha, "--")
            self._commits[sha] = next(iter(read_commits(told)), None)
        return self._commits[sha]

    def full(self, path: str) -> str:
        """Return a path from the repository's top."""
        return self.shadow.place.prefix + path


def _blamed(told: bytes) -> Iterator[tuple[int, str]]:
    """Read the porcelain form: (line, commit) of each entry, which ends at its line's text."""
    head = True
    for row in told.split(b"\n"):
        if head and row:
            sha, _, number = row.split(b" ")[:3]
            yield int(number), sha.decode()
        head = row.startswith(b"\t")


def read_commits(told: bytes) -> tuple[Commit, ...]:
    """Read lines of FORMAT. Names and summaries are strangers' text."""
    rows = (row.split("\0", 3) for row in told.decode(errors="replace").split("\n") if row)
    return tuple(
        Commit(sha=sha, when=when, author=author, summary=summary)
        for sha, when, author, summary in rows
    )
