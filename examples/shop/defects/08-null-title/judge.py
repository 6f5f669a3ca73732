"""A review whose title is null is a review without a title."""

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize("title", [None, ""])
def test_no_title_is_fine(member_client: TestClient, title: str | None) -> None:
    review = {"rating": 4, "title": title, "text": "pours well"}
    answer = member_client.post("/products/5/reviews", json=review)
    assert (answer.status_code, answer.json()["text"]) == (201, "pours well")


def test_long_titles_are_still_told(member_client: TestClient) -> None:
    review = {"rating": 4, "title": "x" * 61}
    assert member_client.post("/products/5/reviews", json=review).status_code == 400
