"""What is no price is told as 400; what is one is read."""

import pytest
from starlette.testclient import TestClient

from shop.errors import BadRequest
from shop.parsing import parse_price


@pytest.mark.parametrize("text", ["cheap", "1,50", "10 euros", "NaN", "Infinity"])
def test_no_price_is_told(text: str, client: TestClient) -> None:
    with pytest.raises(BadRequest):
        parse_price(text)
    assert client.get("/products", params={"max_price": text}).status_code == 400


def test_prices_are_read() -> None:
    assert (parse_price("20"), parse_price("0.99")) == (2000, 99)
