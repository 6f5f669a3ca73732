"""Discounts."""

import pytest
from starlette.testclient import TestClient

from shop.database import Database
from shop.discounts import discount_cents, find_voucher, tier_percent, voucher_percent
from shop.errors import NotFound
from shop.models import Voucher

SPRING = Voucher(code="SPRING", percent=20, from_cents=8000)


@pytest.mark.parametrize(
    ("subtotal", "percent"), [(0, 0), (4_200, 0), (7_500, 5), (12_345, 10), (50_000, 15)]
)
def test_larger_orders_earn_more(subtotal: int, percent: int) -> None:
    assert tier_percent(subtotal) == percent


def test_a_voucher_has_a_smallest_subtotal() -> None:
    assert voucher_percent(7_999, SPRING) == 0
    assert voucher_percent(8_000, SPRING) == 20
    assert voucher_percent(8_000, None) == 0


def test_the_better_discount_counts() -> None:
    assert discount_cents(9_000, SPRING) == 1_800
    assert discount_cents(7_000, SPRING) == 350
    assert discount_cents(50_000, Voucher(code="W", percent=10, from_cents=0)) == 7_500


def test_codes_are_found_in_any_case(database: Database) -> None:
    assert find_voucher(database, " spring ") == SPRING
    with pytest.raises(NotFound):
        find_voucher(database, "AUTUMN")


def test_a_voucher_stays_with_the_cart(client: TestClient) -> None:
    client.post("/cart/items", json={"product_id": 2, "quantity": 1})
    assert client.post("/cart/voucher", json={"code": "welcome"}).json()["discount"] == 145
    assert client.get("/cart").json()["discount"] == 145
    assert client.post("/cart/voucher", json={"code": "nope"}).status_code == 404
