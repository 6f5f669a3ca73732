"""Which commit most likely brought the crash: a suspicion with a reason, not a verdict."""

from datetime import UTC, datetime

from selfdrive_dagster.model import Commit, FrameFinding, History, SuspectCommit
from selfdrive_dagster.patches.syntax import Function, Tree

BLAMED_LINES = 60
"""At most so many lines of a function around the raise are asked about."""


def suspect_commit(
    tree: Tree, history: History, frame: FrameFinding, when: datetime | None
) -> SuspectCommit | None:
    """Name the newest commit that touched the function before the crash, and say why."""
    line_commit = history.blame(frame.path, frame.line)
    module = tree.module(frame.path)
    function = module.function(frame.function) if module else None
    commits = [line_commit] if line_commit else []
    for line in _blamed(function, frame.line):
        commit = history.blame(frame.path, line)
        if commit is not None:
            commits.append(commit)
    earlier = [commit for commit in commits if when is None or _moment(commit) <= moment(when)]
    if not earlier:
        return None
    newest = max(earlier, key=_moment)
    if line_commit is not None and newest.sha == line_commit.sha:
        reason = f"last wrote {frame.path}:{frame.line}, the line that raised"
    else:
        reason = f"last changed {frame.function} in {frame.path} before the crash"
    return SuspectCommit(commit=newest, reason=reason)


def _blamed(function: Function | None, line: int) -> range:
    if function is None:
        return range(0)
    first = max(function.first_line, line - BLAMED_LINES // 2)
    return range(first, min(function.last_line, first + BLAMED_LINES) + 1)


def _moment(commit: Commit) -> datetime:
    try:
        return moment(datetime.fromisoformat(commit.when))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def moment(when: datetime) -> datetime:
    """Return a time that can be compared: without a zone it is UTC."""
    return when if when.tzinfo else when.replace(tzinfo=UTC)
