"""The cart."""

import pytest
from starlette.testclient import TestClient

from shop.cart import cart_lines, put_in_cart, subtotal_cents, take_from_cart, weight_grams
from shop.database import Database
from shop.errors import NotFound, OutOfStock


def test_lines_add_up(database: Database) -> None:
    put_in_cart(database, "s", 1, 2)
    put_in_cart(database, "s", 5, 1)
    lines = cart_lines(database, "s")
    assert subtotal_cents(lines) == 2 * 790 + 4900
    assert weight_grams(lines) == 2 * 250 + 1600


def test_carts_are_apart(database: Database) -> None:
    put_in_cart(database, "one", 1, 1)
    assert cart_lines(database, "other") == []


def test_a_product_can_be_taken_out(database: Database) -> None:
    put_in_cart(database, "s", 1, 2)
    take_from_cart(database, "s", 1)
    take_from_cart(database, "s", 2)
    assert cart_lines(database, "s") == []


def test_what_is_not_there_cannot_be_bought(database: Database) -> None:
    with pytest.raises(NotFound):
        put_in_cart(database, "s", 999, 1)
    with pytest.raises(OutOfStock):
        put_in_cart(database, "s", 14, 2)


def test_the_cart_page(client: TestClient) -> None:
    client.post("/cart/items", json={"product_id": 5, "quantity": 2})
    cart = client.get("/cart").json()
    assert cart["subtotal"] == 9800
    assert cart["discount"] == 490
    assert client.request("DELETE", "/cart/items/5").json()["lines"] == []


@pytest.mark.parametrize("body", [{}, {"product_id": "5"}, {"product_id": 5, "quantity": "x"}])
def test_a_bad_item_is_told(client: TestClient, body: dict[str, object]) -> None:
    assert client.post("/cart/items", json=body).status_code == 400
