"""Sessions by version: who was there, who met the issue, and what cannot be known."""

from datetime import timedelta
from pathlib import Path

import pytest
from issue_rows import NOW, crash_of, row_of, span_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.exposure import as_sessions, sessions_on, versions_of
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.audit.outcome import Sessions
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.telemetry.rows import DeploymentRow

MODELS = load_models(Path(__file__).parents[2] / "sql")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD, NEW = "1.0", "2.0"


def visit(number: int, version: str, *, ago: timedelta, session: str | None = None):
    span = span_of(NOW - ago, number)
    return replace(span, service_version=version, session_id=session or f"s{number}")


def crash(number: int, version: str, *, ago: timedelta, session: str = ""):
    row = row_of(crash_of(ago=ago, ordinal=number, session=session or f"s{number}"))
    return replace(row, service_version=version)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Ten sessions on the old version, three of which crashed; five on the new one."""
    made = Warehouse(tmp_path)
    visits = [visit(n, OLD, ago=2 * DAY) for n in range(10)]
    visits += [visit(n, OLD, ago=2 * DAY, session="s1") for n in range(100, 104)]
    visits += [visit(n, NEW, ago=HOUR) for n in range(20, 25)]
    made.append("spans", visits)
    made.append("exceptions", [crash(n, OLD, ago=2 * DAY) for n in range(3)])
    seen = {OLD: NOW - 2 * DAY, NEW: NOW - DAY}
    made.append("deployments", [
        DeploymentRow(event_id=f"{version:0>64}", source="otlp", timestamp=at, received_at=at,
                      service_name="shop", service_version=version)
        for version, at in seen.items()
    ])  # fmt: skip
    list(refresh(made, MODELS, Grouping()))
    return made


def count(warehouse: Warehouse, *, on_them: bool, since=NOW - 7 * DAY, until=NOW) -> Sessions:
    (issue,) = rank_issues(warehouse, NOW)
    return sessions_on(
        warehouse, "shop", issue.issue_id, [NEW], on_them=on_them, since=since, until=until
    )


def test_each_session_counts_once_on_its_version(warehouse: Warehouse) -> None:
    assert count(warehouse, on_them=False) == Sessions(seen=10, affected=3)
    assert count(warehouse, on_them=True) == Sessions(seen=5, affected=0)


def test_what_lies_outside_of_the_time_does_not_count(warehouse: Warehouse) -> None:
    assert count(warehouse, on_them=False, since=NOW - DAY) == Sessions(seen=0, affected=0)


def test_an_issue_that_came_back_is_seen(warehouse: Warehouse) -> None:
    warehouse.append("exceptions", [crash(77, NEW, ago=HOUR, session="s20")])
    list(refresh(warehouse, MODELS, Grouping()))
    assert count(warehouse, on_them=True) == Sessions(seen=5, affected=1)


def test_who_looks_while_models_are_refreshed_sees_every_issue(warehouse: Warehouse) -> None:
    """One model is newer than the other, as in the middle of a batch under traffic."""
    (before,) = rank_issues(warehouse, NOW)
    warehouse.append("exceptions", [crash(78, NEW, ago=HOUR, session="s21")])
    for half in (
        [m for m in MODELS if m.name != "issue_newest"],
        [m for m in MODELS if m.name not in ("issue_newest", "issue_releases")],
    ):
        list(refresh(warehouse, half, Grouping()))
        assert [one.issue_id for one in rank_issues(warehouse, NOW)] == [before.issue_id]
    list(refresh(warehouse, MODELS, Grouping()))
    (after,) = rank_issues(warehouse, NOW)
    assert after.last_seen > before.last_seen


def test_versions_come_oldest_first_with_their_first_sighting(warehouse: Warehouse) -> None:
    assert list(versions_of(warehouse, "shop").items()) == [(OLD, NOW - 2 * DAY), (NEW, NOW - DAY)]
    assert versions_of(warehouse, "another") == {}


@pytest.mark.parametrize(
    ("events", "sessions", "met_events", "met_sessions", "expected"),
    [
        (0, 0, 0, 0, Sessions(seen=0, affected=0)),
        (9, 0, 0, 0, Sessions(seen=None, affected=None)),
        (9, 0, 2, 0, Sessions(seen=None, affected=2)),
        (9, 4, 2, 1, Sessions(seen=4, affected=1)),
        (9, 4, 7, 0, Sessions(seen=4, affected=4)),
        (9, 4, 0, 0, Sessions(seen=4, affected=0)),
    ],
)
def test_without_ids_of_sessions_nobody_knows(
    events, sessions, met_events, met_sessions, expected
) -> None:
    assert as_sessions(events, sessions, met_events, met_sessions) == expected
