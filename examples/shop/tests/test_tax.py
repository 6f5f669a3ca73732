"""Value-added tax."""

import pytest

from shop.models import CartLine, Product
from shop.tax import contained_tax, line_tax, load_rates, net_cents


def test_tax_is_contained_in_the_price() -> None:
    assert net_cents(1190, 0.19) == 1000
    assert line_tax(1190, "kitchen", {"kitchen": 0.19}) == 190
    assert net_cents(500, 0) == 500


def test_a_cart_adds_its_lines(teapot: Product) -> None:
    line = CartLine(product=teapot, quantity=1)
    assert contained_tax([line, line], load_rates()) == 2 * 782


@pytest.mark.parametrize("rate", [19, 7.0, 1, -0.07])
def test_a_rate_that_is_no_fraction_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        net_cents(1190, rate)


def test_no_bill_with_a_wrong_rate(teapot: Product) -> None:
    """Rather no order than one with the wrong tax: the tax office is strict."""
    with pytest.raises(ValueError, match="fraction"):
        line_tax(1190, "kitchen", {"kitchen": 19})
    with pytest.raises(ValueError, match="fraction"):
        contained_tax([CartLine(product=teapot, quantity=1)], {"kitchen": 19})
