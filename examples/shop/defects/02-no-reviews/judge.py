"""A product without reviews has no newest one; the others keep theirs."""

from starlette.testclient import TestClient

from shop.database import Database
from shop.reviews import ReviewStatistics, summarise


def test_no_reviews_no_date(database: Database, client: TestClient) -> None:
    assert ReviewStatistics([]).newest() is None
    assert summarise(database, 12)["newest"] is None
    assert client.get("/products/12/reviews").status_code == 200


def test_some_reviews_keep_their_date(database: Database) -> None:
    assert summarise(database, 4)["newest"] == "2026-01-03"
    assert summarise(database, 7)["newest"] == "2026-01-01"
