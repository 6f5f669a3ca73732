"""Was a branch merged by others? Told by patch-id, so that rebases and squashes count."""

from selfdrive_dagster.adapters.git.command import GitFailed
from selfdrive_dagster.adapters.git.shadow import Shadow

LOOK_BACK = 2_000
"""How many of the newest commits are compared."""


def patch_id(shadow: Shadow, base: str, revision: str) -> str:
    """Return git's stable patch-id of everything between two commits, "" for nothing."""
    diff = shadow.git("diff-tree", "-p", base, revision)
    return shadow.git("patch-id", "--stable", stdin=diff).decode().partition(" ")[0]


def merged_as(shadow: Shadow, tip: str, head: str) -> str | None:
    """Return the commit below `head` that brought the patch of `tip`, None when none did.

    A merge or fast-forward answers `tip` itself; a rebase, squash or cherry-pick the commit
    of equal patch-id.
    """
    try:
        fork = shadow.git("merge-base", tip, head).decode().strip()
    except GitFailed:
        return None  # the histories are unrelated
    if fork == tip:
        return tip
    wanted = patch_id(shadow, fork, tip)
    newest = ("--no-merges", f"--max-count={LOOK_BACK}", f"{fork}..{head}")
    commits = shadow.git("rev-list", *newest)
    diffs = shadow.git("diff-tree", "--stdin", "-p", "-r", stdin=commits)
    rows = shadow.git("patch-id", "--stable", stdin=diffs).decode().splitlines()
    return next((sha for patch, sha in map(str.split, rows) if patch == wanted), None)
