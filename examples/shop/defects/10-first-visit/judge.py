"""No orders, no average; some orders, their mean."""

from starlette.testclient import TestClient

from shop.orders import average_basket


def test_no_orders(member_client: TestClient) -> None:
    assert average_basket([]) == 0
    figures = member_client.get("/account/figures").json()
    assert figures == {"orders": 0, "average_basket": 0}


def test_some_orders() -> None:
    assert average_basket([100, 201]) == 150
    assert average_basket([300]) == 300
