"""Skips: an issue that an operator leaves alone for a while, with a reason and an end.

A skip ends by itself. It ends earlier when the issue turns into something else than what was
skipped: it comes back after it was mended or long quiet, or it grows beyond its own history. Then
the loop takes it back, and it stays taken back until a person says it again.
Belongs here: the records and what ends them. Does not belong: keeping them (`adapters.skips`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from selfdrive_dagster.errors import BadInput

SKIPPED, ENDED = "skip", "unskip"

GRACE = timedelta(hours=1)
"""Growth is judged by an hour's events: those of a skip's first hour were met before it."""

QUIET = timedelta(days=14)
"""As long as triage calls an issue too old to act on."""

LONGEST = timedelta(days=365)

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of an issue: `skip` until a time, or `unskip`, which takes that back."""

    verdict: str
    issue_id: str
    actor: str
    reason: str
    at: datetime
    until: datetime | None = None

    @property
    def says(self) -> str:
        """Return who skipped the issue, until when and why."""
        end = f" until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"{self.actor} skips it{end}: {self.reason}"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a skipped issue at `now`: each hour's first and last sighting, in order.

    `resolved` is when it was last held to be mended; `is_escalating` None without a history.
    """

    now: datetime
    hours: Sequence[tuple[datetime, datetime]] = ()
    resolved: datetime | None = None
    is_escalating: bool | None = None


def skipping(
    issue_id: str,
    lasts: str,
    *,
    actor: str,
    reason: str,
    at: datetime,
    longest: timedelta = LONGEST,
) -> Skip:
    """Return the skip of an issue for so long (`12h`, `7d`, `2w`). Raises BadInput."""
    until = at + duration(lasts, longest)
    return _said(SKIPPED, issue_id, actor, reason, at, until)


def unskipping(
    said: Iterable[Skip], issue_id: str, *, actor: str, reason: str, at: datetime
) -> Skip:
    """Return what takes back the skip of an issue. Raises BadInput where none stands at `at`."""
    if issue_id not in standing(said, at):
        raise BadInput(f"Nobody skips {issue_id}.", remedy=f"selfdrive issue {issue_id}")
    return _said(ENDED, issue_id, actor, reason, at)


def standing(said: Iterable[Skip], now: datetime) -> dict[str, Skip]:
    """Return the skips that hold at `now`, by issue. `said` is in its order in time."""
    last = {each.issue_id: each for each in said}
    return {
        name: each
        for name, each in last.items()
        if each.verdict == SKIPPED and each.until is not None and now < each.until
    }


def cancelled(
    skips: Mapping[str, Skip], seen: Mapping[str, Seen], *, actor: str
) -> tuple[Skip, ...]:
    """Return what takes back those skips whose issue came back or grew; `actor` is the loop."""
    found = ((skip, seen[name]) for name, skip in sorted(skips.items()) if name in seen)
    reasons = ((skip, known, recurrence(skip, known)) for skip, known in found)
    return tuple(
        _said(ENDED, skip.issue_id, actor, reason, known.now)
        for skip, known, reason in reasons
        if reason
    )


def recurrence(skip: Skip, seen: Seen) -> str:
    """Say why a skip no longer stands for what was skipped, "" where it does."""
    if seen.resolved and (back := _first_after(seen.resolved, seen.hours)) and back > skip.at:
        return f"it came back at {_told(back)} after it was verified as gone"
    for (_, quiet_since), (back, _) in zip(seen.hours, seen.hours[1:], strict=False):
        if back > skip.at and back - quiet_since > QUIET:
            return f"it came back at {_told(back)} after {(back - quiet_since).days} quiet days"
    if seen.is_escalating and seen.now - skip.at > GRACE:
        return "it grows: more in the last hour than its own week lets expect"
    return ""


def duration(text: str, longest: timedelta = LONGEST) -> timedelta:
    """Return how long `12h`, `7d` or `2w` is. Raises BadInput, also beyond `longest`."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text.strip())
    if not found:
        raise BadInput(f"{text!r} is no length of time.", remedy="write --for 12h, 7d or 2w")
    lasts = int(found[1]) * _UNITS[found[2]]
    if lasts > longest:
        raise BadInput(
            f"A skip lasts {longest.days} days at most, {text} is longer.",
            remedy="skip it for less long, and again when that is over",
        )
    return lasts


def _first_after(time: datetime, hours: Sequence[tuple[datetime, datetime]]) -> datetime | None:
    """Return a sighting after a time: the first of its hour, or the last where that was before."""
    return next((first if first > time else last for first, last in hours if last > time), None)


def _told(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _said(
    verdict: str,
    issue_id: str,
    actor: str,
    reason: str,
    at: datetime,
    until: datetime | None = None,
) -> Skip:
    if not reason.strip():
        raise BadInput(f"A {verdict} needs a reason.", remedy='--reason "what you know"')
    return Skip(
        verdict=verdict, issue_id=issue_id, actor=actor, reason=reason.strip(), at=at, until=until
    )
