"""Which versions of a product hold a commit: a version names a commit or a tag, or tells nothing.

Versions come from telemetry, so they are strangers' words: a branch's name is no version, since
it would mean another commit tomorrow.
"""

import re
from collections.abc import Iterable, Iterator

from selfdrive_dagster.adapters.git.command import GitFailed
from selfdrive_dagster.adapters.git.repository import GitRepository

COMMIT = re.compile(r"[0-9a-f]{7,40}")
TAG = re.compile(r"[\w][\w.+-]{0,99}", re.ASCII)


def versions_with(
    repository: GitRepository, commit: str, versions: Iterable[str]
) -> tuple[str, ...]:
    """Return those versions whose commit is `commit` or comes after it."""
    return tuple(
        version
        for version in versions
        if any(holds(repository, there, commit) for there in commits_of(repository, version))
    )


def commits_of(repository: GitRepository, version: str) -> Iterator[str]:
    """Yield what commit a version may name: `1.2`, `v1.2`, `shop@1.2`, `4f1c…`."""
    bare = version.rpartition("@")[2]
    names = [bare] if COMMIT.fullmatch(bare) else []
    names += [f"refs/tags/{name}" for name in (bare, f"v{bare}") if TAG.fullmatch(name)]
    for name in names:
        if (found := repository.lookup(name)) is not None:
            yield found


def holds(repository: GitRepository, later: str, earlier: str) -> bool:
    """Say whether a commit is part of another's history."""
    try:
        repository.shadow.git("merge-base", "--is-ancestor", earlier, later)
    except GitFailed:
        return False
    return True
