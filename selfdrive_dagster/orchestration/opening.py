"""When a change that is not finished is tried again, and when it is given up.

Belongs here: the rules, as pure functions. Does not belong: which changes are opened
(`issues.opening`); asking Dagster or the database (`sensors`).
"""

from datetime import datetime, timedelta

import msgspec

from selfdrive_dagster.rollout.lifecycle import DEADLINES, State

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
