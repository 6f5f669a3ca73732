"""The board: the ranking at one moment, naming a crash of each issue that may be tried.

A change is opened from a board and reads its crash by the digest there, so that what the loop
acted on can be named later. A board is made every few seconds and kept for ever: so it names
crashes, which stay the same for long, and does not hold them. Belongs here: the record. Does
not belong: how issues are ranked.
"""

from collections.abc import Mapping

import msgspec

from selfdrive_dagster.issues.rank import RankedIssue
from selfdrive_dagster.issues.triage import Decision

MOST = 50


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """Ranked issues, worst first; `crashes` maps those triaged `autofix` to a crash's sha256."""

    issues: tuple[RankedIssue, ...]
    crashes: dict[str, str]

    def issue(self, issue_id: str) -> RankedIssue | None:
        """Return one issue of the board."""
        return next((issue for issue in self.issues if issue.issue_id == issue_id), None)


def to_try(issues: tuple[RankedIssue, ...]) -> tuple[RankedIssue, ...]:
    """Return the issues of a board that a change may be opened for."""
    return tuple(i for i in issues[:MOST] if i.triage.decision is Decision.AUTOFIX)


def make_board(issues: tuple[RankedIssue, ...], crashes: Mapping[str, str]) -> Board:
    """Return the board; `crashes` names a stored crash by issue id, none where none is left."""
    named = {i.issue_id: crashes[i.issue_id] for i in to_try(issues) if i.issue_id in crashes}
    return Board(issues=issues[:MOST], crashes=named)
