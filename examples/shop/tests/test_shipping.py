"""Shipping and express."""

import pytest
from starlette.testclient import TestClient

from shop.carrier import ExpressDesk, express_tariff
from shop.models import CartLine, Product
from shop.shipping import delivery_days, estimate, flat_rate


@pytest.mark.parametrize(("country", "days"), [("DE", 2), ("FR", 4), ("US", 9)])
def test_further_takes_longer(country: str, days: int) -> None:
    assert delivery_days(country) == days


@pytest.mark.parametrize(("country", "cents"), [("DE", 490), ("PL", 990), ("PT", 1990)])
def test_further_costs_more(country: str, cents: int) -> None:
    assert flat_rate(country) == cents


def test_a_cart_at_home(teapot: Product) -> None:
    offer = estimate([CartLine(product=teapot, quantity=1)], "DE")
    assert (offer.cents, offer.days) == (490, 2)


def test_nothing_ships_for_nothing() -> None:
    assert estimate([], "US").cents == 0


def test_the_shipping_page(client: TestClient) -> None:
    client.post("/cart/items", json={"product_id": 5})
    assert client.get("/shipping", params={"country": "at"}).json() == {"cents": 990, "days": 4}
    assert client.get("/shipping", params={"country": "Austria"}).status_code == 400


def test_express_is_dearer_abroad_and_by_started_kilogram() -> None:
    assert express_tariff("DE", 1) == 1410
    assert express_tariff("DE", 1001) == 1530
    assert express_tariff("AT", 1) == 2810


def test_the_express_desk_answers(client: TestClient) -> None:
    assert ExpressDesk().quote("DE", 1600) == 1530
    client.post("/cart/items", json={"product_id": 5})
    assert client.get("/shipping/express", params={"country": "DE"}).json() == {"cents": 1530}
