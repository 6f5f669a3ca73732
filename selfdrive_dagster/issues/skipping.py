"""Skips: a person says to leave an issue alone, until a day and as long as it gets no worse.

A skip ends by itself at its end. A recurrence cancels it: the issue was held to be mended and came
back since, or a day brings twice the events that it had when it was skipped. Belongs here: what a
skip is and whether it still holds. Does not belong: what triage makes of it (`triage`).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.members import Verdict
from selfdrive_dagster.issues.score import IssueStats

SKIPPED, UNSKIPPED = "skip", "unskip"
LONGEST = timedelta(days=365)
TIMES = 2
FEWEST = 5
"""Events of a day that a skipped issue is taken to have had at least: one more is no growth."""


def skipping(
    issue_id: str, length: timedelta, events_24h: int, *, actor: str, reason: str, at: datetime
) -> Verdict:
    """Return the verdict that leaves an issue alone for so long. Raises BadInput."""
    if not timedelta() < length <= LONGEST:
        raise BadInput(
            "A skip lasts longer than nothing and a year at most.", remedy="--for 7d, --for 12h"
        )
    return Verdict(
        verdict=SKIPPED,
        name=issue_id,
        issue_id=issue_id,
        actor=actor,
        reason=reason.strip(),
        at=at,
        until=at + length,
        events_24h=events_24h,
    )


def unskipping(
    verdicts: Iterable[Verdict], issue_id: str, *, actor: str, reason: str, at: datetime
) -> Verdict:
    """Return the verdict that ends the skip of an issue. Raises BadInput where there is none."""
    if issue_id not in skips_in(verdicts):
        raise BadInput(f"Nobody skipped {issue_id}.", remedy=f"selfdrive issue {issue_id}")
    return Verdict(
        verdict=UNSKIPPED,
        name=issue_id,
        issue_id=issue_id,
        actor=actor,
        reason=reason.strip(),
        at=at,
    )


def skips_in(verdicts: Iterable[Verdict]) -> dict[str, Verdict]:
    """Return the last skip of each issue that nobody took back, whether it holds or not."""
    found: dict[str, Verdict] = {}
    for each in verdicts:
        if each.verdict == SKIPPED:
            found[each.issue_id] = each
        elif each.verdict == UNSKIPPED:
            found.pop(each.issue_id, None)
    return found


def held_back(skip: Verdict | None, stats: IssueStats, resolved: datetime | None) -> str:
    """Say by whom, until when and why an issue is left alone; "" where it is not, or no longer."""
    if skip is None or skip.until is None or stats.now >= skip.until:
        return ""
    came_back = resolved is not None and skip.at < resolved < stats.last_seen
    if came_back or stats.events_24h > TIMES * max(skip.events_24h, FEWEST):
        return ""
    return f"{skip.actor} says to leave it until {skip.until:%d %b %H:%M} UTC: {skip.reason}"
