"""Garden things carry 19 per cent tax, and a wrong rate is still refused."""

import pytest
from starlette.testclient import TestClient

from shop.tax import line_tax, load_rates, net_cents


def test_the_garden_rate_is_a_fraction() -> None:
    assert line_tax(1190, "garden", load_rates()) == 190


def test_a_percentage_is_refused() -> None:
    with pytest.raises(ValueError, match="fraction"):
        net_cents(1190, 19)


def test_garden_things_can_be_bought(member_client: TestClient) -> None:
    member_client.post("/cart/items", json={"product_id": 15, "quantity": 1})
    answer = member_client.post("/checkout", json={})
    assert (answer.status_code, answer.json()["tax"]) == (201, 238)
