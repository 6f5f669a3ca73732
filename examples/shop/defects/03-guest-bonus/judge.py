"""Guests earn nothing and can buy; members keep their bonus."""

from dataclasses import replace

from starlette.testclient import TestClient

from shop.loyalty import bonus_points
from shop.models import Member, Product


def test_guests_earn_no_bonus(teapot: Product) -> None:
    assert bonus_points(teapot, 3, None) == 0


def test_members_do(teapot: Product, ada: Member) -> None:
    assert bonus_points(teapot, 3, replace(ada, favourite="kitchen")) == 60
    assert bonus_points(teapot, 3, ada) == 0


def test_a_guest_checks_out(client: TestClient) -> None:
    client.post("/cart/items", json={"product_id": 5})
    answer = client.post("/checkout", json={"recipient": "Gus", "country": "DE"})
    assert answer.status_code == 201
