"""Every name arrives whole."""

import pytest

from shop.export import orders_spreadsheet
from shop.models import Order


@pytest.mark.parametrize("name", ["Żaneta Łukasik", "Chloé Martin", "Ada Brandt"])
def test_names_arrive_whole(name: str) -> None:
    order = Order(id=1, recipient=name, country="PL", total_cents=1990, placed="2026-02-03")
    assert f";{name};" in orders_spreadsheet([order]).decode("utf-8-sig")
