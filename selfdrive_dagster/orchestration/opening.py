"""Which change belongs to which issue: the id alone tells, so that two sensors agree."""

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.model import Crash, short_id


def change_id_of(issue_id: str, attempt: int) -> str:
    """Return the id of an issue's n-th change: the same attempt never gets two."""
    return short_id("chg", issue_id, attempt)


def issue_of(board: Board, change_id: str) -> tuple[RankedIssue, Crash]:
    """Return the issue that a change is for, with its crash. Raises BadInput if it is gone."""
    for issue in board.issues:
        if issue.issue_id in board.crashes and change_id_of(issue.issue_id, 1) == change_id:
            return issue, board.crashes[issue.issue_id]
    raise BadInput(f"No issue of the ranking belongs to {change_id}.", remedy="selfdrive issues")
