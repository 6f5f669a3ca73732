"""The view of usage: what is first in what, and what is chance."""

from datetime import UTC, datetime, timedelta

from selfdrive_dagster.issues.usage import FeatureDay, usage

UNTIL = datetime(2026, 11, 28, tzinfo=UTC)


def day(
    feature: str, ago: int, uses: int, *, ms: float | None = 10.0, users: int = 3, failed: int = 0
) -> FeatureDay:
    return FeatureDay(
        service_name="shop",
        feature=feature,
        event_date=UNTIL - timedelta(days=ago),
        uses=uses,
        failed=failed,
        total_ms=None if ms is None else ms * uses,
        sessions=users,
        users=users,
    )


DAYS = [
    day("GET /", 1, 500),
    day("GET /", 9, 500),
    day("GET /search", 2, 90, ms=900.0),
    day("GET /search", 8, 30, ms=100.0),
    day("POST /checkout", 1, 40, users=0),
    day("POST /checkout", 8, 60),
    day("GET /seldom", 1, 2, ms=60_000.0),
    day("wishlist", 20, 70, ms=None),
    day("GET /old", 60, 10),
]
HURT = {("shop", "POST /checkout"): 20, ("shop", "GET /"): 50, ("shop", "GET /seldom"): 2}
VIEW = usage(DAYS, HURT, until=UNTIL)


def test_features_are_first_in_what_they_are() -> None:
    assert [each.feature for each in VIEW.most_used][:2] == ["GET /", "GET /search"]
    assert [each.feature for each in VIEW.fastest_growing] == ["GET /search"]
    assert VIEW.fastest_growing[0].growth == 3.0
    assert VIEW.slowest[0].feature == "GET /search"
    assert [each.feature for each in VIEW.most_painful] == ["POST /checkout", "GET /"]
    assert [each.feature for each in VIEW.dead] == ["wishlist", "GET /old"]


def test_a_feature_that_is_seldom_used_is_neither_slow_nor_painful_by_chance() -> None:
    names = {each.feature for each in (*VIEW.slowest, *VIEW.most_painful)}
    assert "GET /seldom" not in names


def test_what_nobody_told_is_unknown() -> None:
    checkout = next(each for each in VIEW.most_used if each.feature == "POST /checkout")
    assert checkout.users is None
    assert VIEW.dead[0].mean_ms is None
