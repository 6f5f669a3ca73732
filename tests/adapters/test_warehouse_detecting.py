"""Detecting: when the detectors look, and that their findings become sightings of issues."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from issue_rows import NOW, span_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.config import Detect, Issues, Settings
from selfdrive_dagster.model import digest
from selfdrive_dagster.telemetry.rows import ProductEventRow, SpanRow

MODELS = load_models(Path(__file__).parents[2] / "sql")
HOUR = timedelta(hours=1)
BEGIN = NOW.replace(minute=0) - 24 * HOUR


def slow_day(hours: int = 25) -> Iterator[SpanRow]:
    """Yield a day in which one route of two takes two seconds, for three visitors an hour."""
    for number in range(hours * 6):
        at = BEGIN + (number // 6) * HOUR + timedelta(minutes=number % 6)
        row = span_of(at, number, user=f"u{number % 3}")
        is_slow = number % 2 == 0
        route, took = ("/report", 2_000.0) if is_slow else ("/", 20.0)
        yield replace(row, http_request_method="GET", http_route=route, duration_ms=took)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    found = Warehouse(tmp_path)
    found.append("spans", list(slow_day()))
    return found


def looked(warehouse: Warehouse, settings: Settings | None = None) -> bool:
    done = {each.table: each.hours for each in refresh(warehouse, MODELS, settings=settings)}
    return done["detected"] != 0


def test_who_used_a_slow_path_met_the_issue(warehouse: Warehouse) -> None:
    refresh(warehouse, MODELS)
    [only] = rank_issues(warehouse, NOW)
    assert (only.kind, only.culprit) == ("slow_path", "GET /report")
    assert only.says == "99% of all waiting at shop is spent here, 2,000 ms a request"
    # The hour that is not full yet is not looked at: 24 hours, of which 23 end within a day.
    assert (only.users, only.events_24h) == (3, 23 * 3)
    assert only.triage.reasons == ("no_exception",)


def test_the_detectors_look_once_an_hour_and_again_for_late_data(warehouse: Warehouse) -> None:
    assert looked(warehouse)
    assert not looked(warehouse)
    now = span_of(NOW, 7_001, user="u1")
    warehouse.append("spans", [now])
    assert not looked(warehouse)
    warehouse.append("spans", [span_of(BEGIN + timedelta(minutes=59), 7_002, user="u1")])
    assert looked(warehouse)
    warehouse.append("spans", [span_of(NOW + HOUR, 7_003, user="u1")])
    assert looked(warehouse)
    assert looked(warehouse, Settings(detect=Detect(slow_ms=100.0)))


def test_what_is_found_again_touches_no_hour(warehouse: Warehouse) -> None:
    refresh(warehouse, MODELS)
    before = warehouse.live("detected").sequence
    refresh(warehouse, MODELS, settings=Settings(detect=Detect(unused_days=15)))
    assert warehouse.live("detected").sequence == before


def test_what_is_found_no_more_has_no_sightings_left(warehouse: Warehouse) -> None:
    refresh(warehouse, MODELS)
    refresh(warehouse, MODELS, settings=Settings(detect=Detect(slow_ms=5_000.0)))
    assert rank_issues(warehouse, NOW) == ()


def step(event: str, at: datetime, visitor: str) -> ProductEventRow:
    return ProductEventRow(
        event_id=digest([event, at.isoformat(), visitor]),
        source="events",
        timestamp=at,
        received_at=at,
        service_name="shop",
        session_id=visitor,
        event_name=event,
    )


def visits(hour: datetime, later: timedelta | None) -> Iterator[ProductEventRow]:
    """Yield forty visitors of an hour who come to the cart, and pay so much later or never."""
    for number in range(40):
        visitor = f"{hour:%d-%H}-{number}"
        yield step("cart", hour + timedelta(minutes=50), visitor)
        if later is not None:
            yield step("pay", hour + timedelta(minutes=50) + later, visitor)


FUNNELS: dict[str, tuple[int, timedelta | None, list[str]]] = {
    "whoever came an hour ago may still go on": (1, None, []),
    "whoever came two hours ago goes no further": (2, None, ["funnel_drop"]),
    "they take until after the full hour": (2, timedelta(minutes=20), []),
}


@pytest.mark.parametrize("name", FUNNELS)
def test_a_funnel_leaks_where_visitors_had_time_to_go_on(name: str, tmp_path: Path) -> None:
    ago, later, wanted = FUNNELS[name]
    end = NOW.replace(minute=0)
    warehouse = Warehouse(tmp_path)
    usual = [end - timedelta(weeks=week) - ago * HOUR for week in range(1, 5)]
    rows = [row for hour in usual for row in visits(hour, timedelta(minutes=5))]
    rows += [*visits(end - ago * HOUR, later), step("other", end + timedelta(minutes=1), "last")]
    warehouse.append("product_events", rows)
    funnels = Issues(funnels={"checkout": ("cart", "pay")})
    refresh(warehouse, MODELS, settings=Settings(issues=funnels))
    found = [each.kind for each in rank_issues(warehouse, NOW) if each.kind == "funnel_drop"]
    assert found == wanted
