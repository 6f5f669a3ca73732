"""Points."""

from dataclasses import replace

from shop.loyalty import order_points, points_for
from shop.models import CartLine, Member, Product


def test_points_follow_the_tier(teapot: Product, ada: Member) -> None:
    assert points_for(teapot, 2, ada) == 294
    assert points_for(teapot, 2, replace(ada, tier="basic")) == 98


def test_guests_collect_nothing(teapot: Product) -> None:
    assert points_for(teapot, 2, None) == 0


def test_an_order_collects_for_every_line(teapot: Product, ada: Member) -> None:
    line = CartLine(product=teapot, quantity=1)
    assert order_points([line, line], ada) == 294
