"""Skips: how long one holds, and what ends it before its time."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from selfdrive_dagster.issues.score import IssueStats
from selfdrive_dagster.issues.skipping import held_back, skipping, skips_in, unskipping

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SAID = {"actor": "mira", "reason": "the supplier knows"}
SKIP = skipping("iss_0000000000000001", 7 * DAY, 40, **SAID, at=NOW - DAY)
STATS = IssueStats(
    issue_id=SKIP.issue_id,
    now=NOW,
    first_seen=NOW - 9 * DAY,
    last_seen=NOW,
    events_total=300,
    events_24h=50,
    events_1h=2,
)

HELD = {
    "within its time": (STATS, None, True),
    "at its end": (replace(STATS, now=NOW + 6 * DAY), None, False),
    "twice the events of that day": (replace(STATS, events_24h=80), None, True),
    "more than twice": (replace(STATS, events_24h=81), None, False),
    "mended before, and skipped then": (STATS, NOW - 2 * DAY, True),
    "mended since, and back": (STATS, NOW - DAY / 2, False),
    "mended since, and not back": (replace(STATS, last_seen=NOW - DAY / 2), NOW - DAY / 3, True),
}


@pytest.mark.parametrize("name", HELD)
def test_a_skip_holds_until_its_end_or_a_recurrence(name: str) -> None:
    stats, resolved, held = HELD[name]
    says = "mira says to leave it until 29 Nov 12:00 UTC: the supplier knows"
    assert held_back(SKIP, stats, resolved) == (says if held else "")


def test_few_events_are_no_growth() -> None:
    rare = replace(SKIP, events_24h=0)
    assert held_back(rare, replace(STATS, events_24h=10), None)
    assert not held_back(rare, replace(STATS, events_24h=11), None)


def test_the_last_word_counts() -> None:
    longer = skipping(SKIP.issue_id, 9 * DAY, 40, **SAID, at=NOW)
    taken_back = unskipping([SKIP], SKIP.issue_id, **SAID, at=NOW)
    assert skips_in([SKIP, longer]) == {SKIP.issue_id: longer}
    assert skips_in([SKIP, taken_back]) == {}
    assert skips_in([SKIP, taken_back, longer]) == {SKIP.issue_id: longer}
