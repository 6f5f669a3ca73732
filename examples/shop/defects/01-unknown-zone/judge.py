"""Countries outside the table cost what the rest of the world costs; the others stay."""

from shop.models import CartLine, Product
from shop.shipping import estimate, parcel_rate


def test_unknown_countries_are_the_rest_of_the_world(teapot: Product) -> None:
    assert parcel_rate("PT", 800) == 1990
    assert parcel_rate("US", 7000) == 2790
    assert estimate([CartLine(product=teapot, quantity=1)], "PT").cents == 1990


def test_known_countries_keep_their_price() -> None:
    assert parcel_rate("DE", 6000) == 540
    assert parcel_rate("FR", 100) == 990
