"""Which change belongs to which issue, and when one is begun or tried again.

The id alone tells issue and attempt, so that two sensors agree. Belongs here: the rules, as
pure functions. Does not belong: asking Dagster or the database (`sensors`).
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.model import short_id
from selfdrive_dagster.rollout.lifecycle import DEADLINES, State

ATTEMPTS = 3
"""Changes that one issue may see while each of them fails by the loop's own fault."""

PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""How long the loop waits after each failed run of a change before it tries again."""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one change. `ended` are those that failed or that a person canceled.

    What an end of Selfdrive cut short says nothing against a change and is not in `ended`.
    `has_moved` says that its base moved or a person amended it, and all is done anew: what ended
    before is not counted.
    `begun` is when the first run was asked for, None when none was.
    """

    runs: int = 0
    begun: datetime | None = None
    is_busy: bool = False
    has_moved: bool = False
    ended: tuple[datetime, ...] = ()


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


def is_due(past: Past, *, is_open: bool, now: datetime) -> bool:
    """Say whether an unfinished change is to be tried now.

    An opened one is left to a person after the last pause. One whose runs failed before they
    could open it is tried on: a machine without disk or git says nothing of it.
    """
    failed = len(past.ended)
    if past.is_busy or (is_open and failed > len(PAUSES)):
        return False
    if not is_open and is_given_up(past, now):
        return False
    return not failed or now >= max(past.ended) + PAUSES[min(failed, len(PAUSES)) - 1]


def is_given_up(past: Past, now: datetime) -> bool:
    """Say whether a change that could not even be opened has had the time of a draft."""
    late = past.begun is not None and now >= past.begun + DEADLINES[State.DRAFT].after
    return late and not past.is_busy
