"""What an owner holds dear, and with which version an issue came."""

from datetime import UTC, datetime, timedelta

import pytest

from selfdrive_dagster.issues.business import Business
from selfdrive_dagster.issues.introducing import introduced_with

ROUTES = {"POST /checkout": 1.0, "/admin*": 0.2, "GET /admin/money": 0.9}
WEIGHTS = {
    "POST /checkout": 1.0,
    "/admin/users": 0.2,
    "GET /admin/users": 0.2,
    "GET /admin/money": 0.9,
    "GET /search": 1.0,
    "": 1.0,
}


@pytest.mark.parametrize("route", WEIGHTS)
def test_the_greatest_fitting_weight_counts_and_what_nobody_weighed_is_dear(route: str) -> None:
    assert Business(routes=ROUTES).weight_of(route) == WEIGHTS[route]


NOW = datetime(2026, 11, 27, tzinfo=UTC)
RELEASED = {("shop", "1.0"): NOW - timedelta(days=9), ("shop", "1.1"): NOW - timedelta(hours=3)}

CASES = {
    "after a release": (
        {("shop", "1.1"): NOW - timedelta(hours=2, minutes=48)},
        "came with version 1.1 of shop, 12 min after its release; 1.0 did not have it",
    ),
    "both versions have it": (
        {("shop", "1.0"): NOW - timedelta(days=1), ("shop", "1.1"): NOW},
        "",
    ),
    "the first version that anybody saw": ({("shop", "1.0"): NOW - timedelta(days=9)}, ""),
    "a version that nobody saw released": ({("shop", "2.0"): NOW}, ""),
    "no version": ({("shop", ""): NOW}, ""),
}


@pytest.mark.parametrize("name", CASES)
def test_a_version_is_blamed_only_if_there_was_a_time_without(name: str) -> None:
    seen, wanted = CASES[name]
    assert introduced_with(seen, RELEASED) == wanted
