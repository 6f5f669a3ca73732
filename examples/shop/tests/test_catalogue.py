"""Finding products."""

import pytest
from starlette.testclient import TestClient

from shop.catalogue import PAGE_SIZE, Search, find_product, page_count, page_of, search
from shop.database import Database
from shop.errors import NotFound


def test_search_finds_words_in_any_case(database: Database) -> None:
    found = search(database, Search(words="TEA", category="books"))
    assert [product.slug for product in found] == ["book-of-tea", "atlas"]


def test_search_shows_the_cheapest_first(database: Database) -> None:
    prices = [product.cents for product in search(database, Search())]
    assert prices == sorted(prices)


def test_the_highest_price_is_included(database: Database) -> None:
    found = search(database, Search(category="tea", max_cents=790))
    assert [product.slug for product in found] == ["peppermint", "assam"]


def test_pages_hold_everything_once(database: Database) -> None:
    found = search(database, Search())
    pages = [page_of(found, page) for page in range(1, page_count(len(found)) + 1)]
    assert [product for page in pages for product in page] == found
    assert page_of(found, 99) == []


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (PAGE_SIZE, 1), (PAGE_SIZE + 1, 2)])
def test_page_count(total: int, pages: int) -> None:
    assert page_count(total) == pages


def test_a_missing_product_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        find_product(database, 999)


def test_the_list_page(client: TestClient) -> None:
    answer = client.get("/products", params={"q": "toast", "max_price": "20"}).json()
    assert answer["total"] == 1
    assert answer["products"][0]["slug"] == "toast-rack"


@pytest.mark.parametrize("query", [{"page": "0"}, {"page": "x"}])
def test_a_bad_query_is_told(client: TestClient, query: dict[str, str]) -> None:
    assert client.get("/products", params=query).status_code == 400


def test_the_product_page(client: TestClient) -> None:
    assert client.get("/products/5").json()["name"] == "Teapot, cast iron"
    assert client.get("/products/999").status_code == 404
