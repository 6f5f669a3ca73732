"""Which change belongs to which issue: the id alone tells, so that two sensors agree."""

from collections.abc import Collection

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.model import Crash, short_id


def change_id_of(issue_id: str, attempt: int) -> str:
    """Return the id of an issue's n-th change: the same attempt never gets two."""
    return short_id("chg", issue_id, attempt)


def to_open(board: Board, known: Collection[str]) -> tuple[str, ...]:
    """Return the ids of changes to open, worst issue first: one for each raising place.

    Two ways into one broken function are two issues to users and one change to its authors:
    two proposals for it would compete. `known` are the ids of all changes so far.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for issue in board.issues:
        if issue.issue_id in board.crashes:
            cause = (issue.exception_type, issue.culprit)
            groups.setdefault(cause, []).append(change_id_of(issue.issue_id, 1))
    return tuple(ids[0] for ids in groups.values() if not any(i in known for i in ids))


def issue_of(board: Board, change_id: str) -> tuple[RankedIssue, Crash]:
    """Return the issue that a change is for, with its crash. Raises BadInput if it is gone."""
    for issue in board.issues:
        if issue.issue_id in board.crashes and change_id_of(issue.issue_id, 1) == change_id:
            return issue, board.crashes[issue.issue_id]
    raise BadInput(f"No issue of the ranking belongs to {change_id}.", remedy="selfdrive issues")
