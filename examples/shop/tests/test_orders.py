"""A member's orders, on the page and as a file."""

from starlette.testclient import TestClient

from shop.export import orders_csv
from shop.models import Order
from shop.orders import largest_basket

ORDER = Order(id=7, recipient="Ada, upstairs", country="DE", total_cents=1990, placed="2026-02-03")


def buy(browser: TestClient, product_id: int) -> None:
    browser.post("/cart/items", json={"product_id": product_id})
    assert browser.post("/checkout", json={}).status_code == 201


def test_the_orders_page(member_client: TestClient) -> None:
    buy(member_client, 10)
    buy(member_client, 11)
    page = member_client.get("/orders").json()
    assert [order["total_cents"] for order in page["orders"]] == [2990, 1690]
    assert page["largest_basket"] == 2990


def test_other_peoples_orders_are_hidden(client: TestClient) -> None:
    assert client.get("/orders/1").status_code == 404
    assert client.get("/orders").status_code == 401


def test_the_largest_basket() -> None:
    assert largest_basket([100, 300, 200]) == 300
    assert largest_basket([]) == 0


def test_the_file_quotes_commas() -> None:
    assert orders_csv([ORDER]).decode() == (
        'order,placed,recipient,country,total\n7,2026-02-03,"Ada, upstairs",DE,19.90\n'
    )


def test_the_file_is_downloaded(member_client: TestClient) -> None:
    buy(member_client, 10)
    answer = member_client.get("/orders/export")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.count("\n") == 2
