"""What git knows of one revision's past: the `History` port."""

from selfdrive_dagster.adapters.git.command import GitFailed
from selfdrive_dagster.adapters.git.shadow import Shadow
from selfdrive_dagster.model import Commit

FORMAT = "--format=%H%x00%aI%x00%an%x00%s"


class GitHistory:
    """History as seen from one base revision. Paths are relative to the product."""

    def __init__(self, shadow: Shadow, revision: str) -> None:
        self.shadow = shadow
        self.revision = revision

    def blame(self, path: str, line: int) -> Commit | None:
        """Return the commit that last touched a line, None when there is no such line."""
        place = f"-L{line},{line}"
        try:
            told = self.shadow.git(
                *("blame", "--porcelain", "--no-textconv", place, self.revision),
                *("--", self.full(path)),
            )
        except GitFailed:
            return None
        return self.commit(told.split(b" ", 1)[0].decode())

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
        told = self.shadow.git("log", "--max-count=1", FORMAT, sha, "--")
        return next(iter(read_commits(told)), None)

    def full(self, path: str) -> str:
        """Return a path from the repository's top."""
        return self.shadow.place.prefix + path


def read_commits(told: bytes) -> tuple[Commit, ...]:
    """Read lines of FORMAT. Names and summaries are strangers' text."""
    rows = (row.split("\0", 3) for row in told.decode(errors="replace").split("\n") if row)
    return tuple(
        Commit(sha=sha, when=when, author=author, summary=summary)
        for sha, when, author, summary in rows
    )
