"""Reviews and their figures."""

import pytest
from starlette.testclient import TestClient

from shop.database import Database
from shop.models import Member, Review
from shop.reviews import ReviewStatistics, product_reviews, summarise, write_review


def test_statistics_of_some_reviews(database: Database) -> None:
    statistics = ReviewStatistics(product_reviews(database, 1))
    assert statistics.count() == 3
    assert statistics.average() == 4.7
    assert statistics.stars() == {5: 2, 4: 1, 3: 0, 2: 0, 1: 0}


def test_statistics_of_no_reviews() -> None:
    assert ReviewStatistics([]).average() is None
    assert ReviewStatistics([]).count() == 0


def test_a_written_review_counts(database: Database, ada: Member) -> None:
    review = write_review(database, ada, 3, 1, "bitter")
    assert product_reviews(database, 3)[0] == review
    assert summarise(database, 3)["average"] == 2.5


def test_the_reviews_page(client: TestClient) -> None:
    page = client.get("/products/5/reviews").json()
    assert page["count"] == 2
    assert len(page["reviews"]) == 2
    assert client.get("/products/999/reviews").status_code == 404


def test_a_member_writes_a_review(member_client: TestClient) -> None:
    answer = member_client.post("/products/5/reviews", json={"rating": 4, "text": "pours well"})
    assert answer.status_code == 201
    assert answer.json()["text"] == "pours well"
    assert member_client.post("/products/5/reviews", json={"rating": 4}).json()["text"] == ""


@pytest.mark.parametrize("body", [{}, {"rating": 6}, {"rating": 5, "text": "x" * 401}])
def test_a_bad_review_is_told(member_client: TestClient, body: dict[str, object]) -> None:
    assert member_client.post("/products/5/reviews", json=body).status_code == 400


def test_guests_do_not_review(client: TestClient) -> None:
    assert client.post("/products/5/reviews", json={"rating": 5}).status_code == 401


def test_a_review_is_a_value() -> None:
    first = Review(product_id=1, member_id=1, rating=5, text="", written="2026-01-01")
    assert first == Review(product_id=1, member_id=1, rating=5, text="", written="2026-01-01")
