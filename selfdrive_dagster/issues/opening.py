"""Which change belongs to which issue, and which changes a board opens.

The id alone tells issue and attempt, so that two sensors agree. The loop asks these rules, and
so does `selfdrive backtest`. Belongs here: the rules, as pure functions. Does not belong: when a
failed change is tried again (`orchestration.opening`).
"""

from collections.abc import Collection

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.issues.rank import RankedIssue
from selfdrive_dagster.model import short_id

ATTEMPTS = 3
"""Changes that one issue may see while each of them fails by the loop's own fault."""


def change_id_of(issue_id: str, attempt: int) -> str:
    """Return the id of an issue's n-th change: the same attempt never gets two."""
    return short_id("chg", issue_id, attempt)


def ids_of(issue_id: str) -> tuple[str, ...]:
    """Return the ids of all changes that an issue may see, in order."""
    return tuple(change_id_of(issue_id, attempt) for attempt in range(1, ATTEMPTS + 1))


def to_open(
    board: Board, known: Collection[str], again: Collection[str] = frozenset()
) -> tuple[str, ...]:
    """Return the ids of changes to open, worst issue first: one for each raising place.

    Two ways into one broken function are two issues to users and one change to its authors:
    two proposals for it would compete. `known` are the ids of all changes so far, `again` those
    of them that ended by the loop's own fault: nothing else is ever tried again by itself.
    """
    groups: dict[tuple[str, str], list[str | None]] = {}
    for issue in board.issues:
        if issue.issue_id in board.crashes:
            cause = (issue.exception_type, issue.culprit)
            groups.setdefault(cause, []).append(next_id(issue.issue_id, known, again))
    return tuple(ids[0] for ids in groups.values() if ids[0] is not None and None not in ids)


def next_id(issue_id: str, known: Collection[str], again: Collection[str]) -> str | None:
    """Return the id of an issue's next change, None while its last one stands or was answered."""
    for change_id in ids_of(issue_id):
        if change_id not in known:
            return change_id
        if change_id not in again:
            return None
    return None


def issue_of(board: Board, change_id: str) -> RankedIssue:
    """Return the issue that a change is for. Raises BadInput if the board has no crash of it."""
    for issue in board.issues:
        if issue.issue_id in board.crashes and change_id in ids_of(issue.issue_id):
            return issue
    raise BadInput(f"No issue of the ranking belongs to {change_id}.", remedy="selfdrive issues")
