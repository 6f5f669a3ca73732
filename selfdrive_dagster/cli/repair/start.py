"""What `repair` looks at before it works: what it will not see, what it could not write.

Nothing here changes a file. Does not belong here: writing (`write`).
"""

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from selfdrive_dagster.errors import Refused

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.git import GitRepository

NAMED = 3
"""Files with uncommitted changes that are named; the others are counted."""


def unseen(repo: Path, revision: str) -> tuple[str, ...]:
    """Return a sentence on changes that are not in HEAD; none where a revision was named."""
    from selfdrive_dagster.adapters.git import GitRepository

    repository = None if revision else GitRepository.find(repo)
    if repository is None or repository.is_empty():
        return ()
    changed = repository.dirty(untracked=True)
    if changed is None:
        return ("Uncommitted changes, if there are any, are not seen: commit first.",)
    known = set(repository.dirty() or ())
    told = [path for path in changed if path in known or is_code(path)]
    return (sentence_on(told),) if told else ()


def is_code(path: str) -> bool:
    """Say whether a new file could be the product's own Python."""
    parts = PurePosixPath(path).parts
    foreign = "site-packages" in parts or any(part.startswith(".") for part in parts)
    return path.endswith(".py") and not foreign


def sentence_on(paths: list[str]) -> str:
    """Count files with uncommitted changes and name the first."""
    names = ", ".join(paths[:NAMED]) + ", …" * (len(paths) > NAMED)
    files, are = ("file", "is") if len(paths) == 1 else ("files", "are")
    return (
        f"{len(paths)} {files} with uncommitted changes {are} not seen: commit first "
        f"({names}). What is repaired is HEAD."
    )


def writable(repo: Path, branch: str = "", *, apply: bool = False) -> "GitRepository":
    """Return the repository that a patch is written to.

    Raises Refused for a plain folder, for one to `apply` to that cannot be written, and
    Refused or BadInput for a branch that cannot be made.
    """
    from selfdrive_dagster.adapters.git import GitRepository

    repository = GitRepository.find(repo)
    if repository is None:
        raise Refused(
            f"{repo} is no git repository, so nothing was run or written.",
            remedy="leave --apply and --branch out: the patch is printed",
        )
    if apply and not os.access(repo, os.W_OK):
        raise Refused(
            f"{repo} cannot be written, so no patch can be applied.",
            remedy="work in a clone of your own, or leave --apply out: the patch is printed",
        )
    if branch:
        repository.check_new_branch(branch)
    return repository


def root_hint(repo: Path) -> str:
    """Say where the repository's root is, when a folder lies below it; else ""."""
    from selfdrive_dagster.adapters.git.shadow import locate

    place = locate(repo)
    if place is None or not place.prefix or place.top is None:
        return ""
    return f"this folder lies in the repository {place.top}: try selfdrive repair {place.top}"
