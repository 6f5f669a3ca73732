"""What customers type."""

import pytest

from shop.errors import BadRequest
from shop.parsing import (
    parse_country,
    parse_donation,
    parse_page,
    parse_price,
    parse_quantity,
    parse_rating,
)


def test_what_is_right_is_read() -> None:
    assert parse_quantity("3") == 3
    assert parse_rating("5") == 5
    assert parse_country("de") == "DE"
    assert parse_donation("1.50") == 150
    assert parse_price("20") == 2000
    assert parse_page("2") == 2


@pytest.mark.parametrize("text", ["0", "100", "-1", "many", ""])
def test_a_quantity_is_1_to_99(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["0", "6", "five"])
def test_a_rating_is_1_to_5(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_rating(text)


@pytest.mark.parametrize("text", ["", "D", "DEU", "49"])
def test_a_country_has_two_letters(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_country(text)


@pytest.mark.parametrize("text", ["", "some", "1,50", "Infinity", "NaN"])
def test_a_donation_is_an_amount(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_donation(text)


def test_a_debt_is_no_donation() -> None:
    assert parse_donation("-3") == 0
