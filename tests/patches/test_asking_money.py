"""Money: bounds are never passed, and unknown is never free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.config.prices import PRICES, Price, price_of, shipped
from selfdrive_dagster.model import Usage
from selfdrive_dagster.patches.asking.money import Caps, cost, dollars, exceeded, micros, most

PRICE = Price(input=3, output=15, cache_write=3.75, cache_read=0.3)
TOKENS = st.integers(0, 10**7)


def test_a_dollar_for_a_million_is_a_micro_dollar_a_token() -> None:
    used = Usage(input_tokens=1000, output_tokens=10, cache_write_tokens=4, cache_read_tokens=1)
    assert cost(used, PRICE) == 3000 + 150 + 15 + 1  # 0.3 is rounded up


def test_cached_tokens_without_a_price_are_unknown() -> None:
    bare = Price(input=3, output=15)
    assert cost(Usage(input_tokens=1, output_tokens=0, cache_read_tokens=1), bare) is None
    assert cost(Usage(input_tokens=1, output_tokens=1), bare) == 18


@given(read=TOKENS, cached=TOKENS, out=st.integers(0, 16_000))
def test_no_answer_costs_more_than_was_reserved(read: int, cached: int, out: int) -> None:
    """A token is at least a byte, and an answer ends at its most tokens."""
    used = Usage(input_tokens=read, output_tokens=out, cache_write_tokens=cached)
    paid = cost(used, PRICE)
    assert paid is not None and paid <= most(read + cached, 16_000, PRICE)


@pytest.mark.parametrize(
    ("amount", "told"),
    [(0, "$0.0000"), (1, "$0.0001"), (100, "$0.0001"), (101, "$0.0002"), (1_234_567, "$1.2346")],
)
def test_an_amount_is_never_told_too_small(amount: int, told: str) -> None:
    assert dollars(amount) == told


@pytest.mark.parametrize(("given_", "kept"), [(0.1, 100_000), (0.0000019, 1), (0.0, 0)])
def test_a_cap_is_never_widened(given_: float, kept: int) -> None:
    assert micros(given_) == kept


CASES = {
    "fits": (10, Caps(change=5), Caps(call=10, change=15), ""),
    "call": (11, Caps(), Caps(call=10), "per call"),
    "change": (10, Caps(change=6), Caps(call=10, change=15), "per change"),
    "issue": (1, Caps(issue=4), Caps(issue=4), "per issue"),
    "day of nothing": (1, Caps(), Caps(day=0), "per day"),
    "month": (5, Caps(month=96), Caps(day=50, month=100), "per month"),
    "no cap": (10**9, Caps(day=10**9), Caps(), ""),
}


@pytest.mark.parametrize(("amount", "gone", "caps", "why"), CASES.values(), ids=CASES)
def test_each_cap_is_told(amount: int, gone: Caps, caps: Caps, why: str) -> None:
    told = exceeded(amount, gone, caps)
    assert (why in told) and bool(told) is bool(why)


def test_the_shipped_table_has_a_source_and_its_default_has_a_price() -> None:
    table = shipped(PRICES)
    assert table.source.startswith("https://") and table.seen
    assert price_of(table.default_model, {}, table) is not None
    assert all(price.input > 0 and price.output > 0 for price in table.prices.values())


def test_the_owners_price_goes_before_ours_and_an_unknown_model_has_none() -> None:
    table = shipped()
    own = {table.default_model: PRICE}
    assert price_of(table.default_model, own, table) is PRICE
    assert price_of("claude-nobody", own, table) is None
