"""Each tier begins at its subtotal and ends below the next."""

import pytest

from shop.discounts import discount_cents, tier_percent


@pytest.mark.parametrize(
    ("subtotal", "percent"),
    [(0, 0), (4_999, 0), (5_000, 5), (5_001, 5), (10_000, 10), (20_000, 15), (20_001, 15)],
)
def test_boundaries(subtotal: int, percent: int) -> None:
    assert tier_percent(subtotal) == percent


def test_the_discount_follows() -> None:
    assert discount_cents(5_000, None) == 250
