"""The board: the ranking at one moment, with the newest crash of each issue that may be tried.

A change is opened from a board and reads its crash there, so that what the loop acted on can
be named by digest later. Belongs here: the record. Does not belong: how issues are ranked.
"""

from collections.abc import Callable

import msgspec

from selfdrive_dagster.issues.rank import RankedIssue
from selfdrive_dagster.issues.triage import Decision
from selfdrive_dagster.model import Crash

MOST = 50


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """Ranked issues, worst first; `crashes` by issue id, for the issues triaged `autofix`."""

    issues: tuple[RankedIssue, ...]
    crashes: dict[str, Crash]

    def issue(self, issue_id: str) -> RankedIssue | None:
        """Return one issue of the board."""
        return next((issue for issue in self.issues if issue.issue_id == issue_id), None)


def make_board(issues: tuple[RankedIssue, ...], crash_of: Callable[[str], Crash | None]) -> Board:
    """Return the board; `crash_of` finds a telling crash of an issue, None if none is left."""
    crashes: dict[str, Crash] = {}
    for issue in issues[:MOST]:
        if issue.triage.decision is Decision.AUTOFIX:
            crash = crash_of(issue.issue_id)
            if crash is not None:
                crashes[issue.issue_id] = crash
    return Board(issues=issues[:MOST], crashes=crashes)
