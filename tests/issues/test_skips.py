"""Skips: they stand until their end, and end earlier when the issue is no longer what it was."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.skips import (
    Seen,
    cancelled,
    duration,
    recurrence,
    skipping,
    standing,
    unskipping,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SKIP = skipping("iss_a", "30d", actor="ann", reason="the supplier mends it", at=NOW)


def hours(*ago_or_after: timedelta) -> tuple[tuple[datetime, datetime], ...]:
    return tuple((NOW + each, NOW + each) for each in ago_or_after)


LATER = Seen(now=NOW + 20 * DAY, hours=hours(-HOUR, HOUR, 2 * DAY))

STANDS = {
    "it goes on as before": LATER,
    "it is quiet": replace(LATER, hours=hours(-HOUR)),
    "it was seen after some quiet days": replace(LATER, hours=hours(-HOUR, 13 * DAY)),
    "it had come back before somebody skipped it": replace(
        LATER, resolved=NOW - 2 * DAY, hours=hours(-3 * DAY, -DAY, HOUR)
    ),
    "it was quiet and back before somebody skipped it": replace(
        LATER, hours=hours(-16 * DAY, -HOUR, HOUR)
    ),
    "it was mended and is gone": replace(LATER, resolved=NOW + 3 * DAY),
    "it grew as it was skipped": Seen(now=NOW + HOUR / 2, is_escalating=True),
    "nobody knows how much is usual": replace(LATER, is_escalating=None),
}

ENDS = {
    "it was mended and came back": (
        replace(LATER, resolved=NOW + DAY),
        "it came back at 2026-11-29 12:00 UTC after it was verified as gone",
    ),
    "it was mended before, and came back after": (
        replace(LATER, resolved=NOW - DAY, hours=hours(-2 * DAY, HOUR)),
        "it came back at 2026-11-27 13:00 UTC after it was verified as gone",
    ),
    "it was quiet for long and came back": (
        replace(LATER, hours=hours(-HOUR, 15 * DAY)),
        "it came back at 2026-12-12 12:00 UTC after 15 quiet days",
    ),
    "it grows": (
        replace(LATER, is_escalating=True),
        "it grows: more in the last hour than its own week lets expect",
    ),
}


@pytest.mark.parametrize("name", STANDS)
def test_a_skip_stands_for_what_was_known(name: str) -> None:
    assert recurrence(SKIP, STANDS[name]) == ""
    assert cancelled({"iss_a": SKIP}, {"iss_a": STANDS[name]}, actor="loop") == ()


@pytest.mark.parametrize("name", ENDS)
def test_a_recurrence_takes_a_skip_back_and_says_why(name: str) -> None:
    seen, why = ENDS[name]
    [end] = cancelled({"iss_a": SKIP}, {"iss_a": seen}, actor="loop")
    assert (end.verdict, end.actor, end.reason, end.at) == ("unskip", "loop", why, seen.now)
    assert standing((SKIP, end), seen.now) == {}


def test_the_last_word_holds_until_its_end() -> None:
    again = skipping("iss_a", "2d", actor="bob", reason="shorter", at=NOW + DAY)
    other = replace(SKIP, issue_id="iss_b")
    said = (SKIP, other, again)
    assert standing(said, NOW + 2 * DAY) == {"iss_a": again, "iss_b": other}
    assert standing(said, NOW + 3 * DAY) == {"iss_b": other}
    back = unskipping(said, "iss_b", actor="ann", reason="mended", at=NOW + DAY)
    assert standing((*said, back), NOW + 2 * DAY) == {"iss_a": again}


def test_what_nobody_skips_cannot_be_taken_back() -> None:
    with pytest.raises(BadInput, match="Nobody skips iss_a"):
        unskipping((SKIP,), "iss_a", actor="ann", reason="late", at=NOW + 30 * DAY)


@pytest.mark.parametrize(("text", "lasts"), [("12h", 12 * HOUR), ("7d", 7 * DAY), ("2w", 14 * DAY)])
def test_lengths_of_time(text: str, lasts: timedelta) -> None:
    assert duration(text) == lasts


@pytest.mark.parametrize("text", ["", "7", "0d", "-1d", "7 days", "1.5d", "366d", "53w", "٣d"])
def test_no_skip_without_an_end(text: str) -> None:
    with pytest.raises(BadInput):
        duration(text)
