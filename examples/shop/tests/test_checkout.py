"""From cart to order."""

import pytest
from starlette.testclient import TestClient

from shop.cart import put_in_cart
from shop.checkout import Delivery, place_order
from shop.database import Database
from shop.errors import BadRequest, OutOfStock
from shop.models import Member, Session
from shop.tax import load_rates

HOME = Delivery(recipient="Ada", country="DE", donation_cents=100)


def test_the_bill_adds_up(database: Database, ada: Member) -> None:
    session = Session(id="s", member_id=1)
    put_in_cart(database, "s", 5, 2)
    order_id, bill = place_order(database, session, ada, HOME, load_rates())
    assert (bill.subtotal, bill.discount, bill.shipping, bill.tax) == (9800, 490, 490, 1565)
    assert bill.total == 9800 - 490 + 490 + 100
    row = database.row("SELECT points, total_cents FROM orders WHERE id = ?", order_id)
    assert row is not None
    assert tuple(row) == (294, bill.total)


def test_an_order_empties_cart_and_shelf(database: Database, ada: Member) -> None:
    put_in_cart(database, "s", 14, 1)
    put_in_cart(database, "t", 14, 1)
    place_order(database, Session(id="s", member_id=1), ada, HOME, load_rates())
    with pytest.raises(OutOfStock):
        place_order(database, Session(id="t", member_id=1), ada, HOME, load_rates())
    with pytest.raises(BadRequest):
        place_order(database, Session(id="s", member_id=1), ada, HOME, load_rates())


def test_a_failed_order_changes_nothing(database: Database, ada: Member) -> None:
    put_in_cart(database, "s", 1, 3)
    put_in_cart(database, "s", 14, 1)
    database.execute("UPDATE products SET stock = 0 WHERE id = 14")
    with pytest.raises(OutOfStock):
        place_order(database, Session(id="s", member_id=1), ada, HOME, load_rates())
    row = database.row("SELECT stock FROM products WHERE id = 1")
    assert row is not None
    assert row["stock"] == 100_000


def test_a_member_needs_to_fill_in_nothing(member_client: TestClient) -> None:
    member_client.post("/cart/items", json={"product_id": 10, "quantity": 1})
    answer = member_client.post("/checkout", json={})
    assert answer.status_code == 201
    order = member_client.get(f"/orders/{answer.json()['order']}").json()
    assert (order["recipient"], order["country"]) == ("Ada Brandt", "DE")


@pytest.mark.parametrize(
    "body",
    [
        {"recipient": "", "country": "DE"},
        {"recipient": "Gus", "country": "Germany"},
        {"recipient": "Gus", "country": "DE", "donation": "much"},
    ],
)
def test_a_bad_form_is_told(client: TestClient, body: dict[str, str]) -> None:
    client.post("/cart/items", json={"product_id": 10})
    assert client.post("/checkout", json=body).status_code == 400
