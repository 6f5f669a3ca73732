"""A telling crash: the one that says most, and the same one while a day's events come in."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from issue_rows import NOW, crash_of, row_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.adapters.warehouse.samples import telling_crashes
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.model import Crash

MODELS = load_models(Path(__file__).parents[2] / "sql")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def with_variables(crash: Crash) -> Crash:
    raised = crash.raised
    frames = tuple(replace(frame, variables={"zone": "'US'"}) for frame in raised.frames)
    return replace(crash, exceptions=(replace(raised, frames=frames),))


def stored(warehouse: Warehouse, *crashes: Crash) -> None:
    rows = [
        replace(row_of(crash), service_version=crash.service_version or None) for crash in crashes
    ]
    warehouse.append("exceptions", rows)
    list(refresh(warehouse, MODELS, Grouping()))


def chosen(warehouse: Warehouse) -> dict[str, str]:
    """The event that was chosen for each issue, by the function that raised."""
    seen = {issue.issue_id: issue.last_seen for issue in rank_issues(warehouse, NOW)}
    found = telling_crashes(warehouse, seen)
    return {crash.raised.frames[-1].function: crash.event_id for crash in found.values()}


def test_each_issue_has_its_own_of_its_own_newest_day(tmp_path: Path) -> None:
    total, login = crash_of("total", ago=HOUR), crash_of("login", ago=5 * DAY)
    old = crash_of("total", ago=3 * DAY)
    warehouse = Warehouse(tmp_path)
    stored(warehouse, old, login, total)
    assert chosen(warehouse) == {"total": total.event_id, "login": login.event_id}
    assert telling_crashes(warehouse, {}) == {}


def test_the_choice_stays_while_more_of_the_same_comes_in(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    first = crash_of(ago=2 * HOUR)
    stored(warehouse, first)
    before = chosen(warehouse)
    stored(warehouse, *(crash_of(ago=HOUR, ordinal=n) for n in range(1, 90)))
    assert chosen(warehouse) == before == {"total": first.event_id}


BETTER: dict[str, Any] = {
    "it tells variables": lambda: with_variables(crash_of(ago=HOUR, ordinal=1)),
    "it is of another release": lambda: replace(crash_of(ago=HOUR), service_version="2.0"),
    "it is of another day": lambda: crash_of(ago=-DAY),
}


@pytest.mark.parametrize("why", BETTER)
def test_a_better_one_takes_its_place(why: str, tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    better: Crash = BETTER[why]()
    stored(warehouse, crash_of(ago=2 * HOUR), better)
    seen: dict[str, datetime] = {
        row["issue_id"]: row["last_seen"]
        for row in warehouse.query("SELECT issue_id, last_seen FROM issue_stats").to_dicts()
    }
    (found,) = telling_crashes(warehouse, seen).values()
    assert found.event_id == better.event_id
