"""What customers type, turned into values. Each parser raises BadRequest naming its field."""

from decimal import Decimal

from shop.errors import BadRequest

MAX_QUANTITY = 99


def parse_quantity(text: str) -> int:
    """Return how many, from 1 to 99."""
    try:
        quantity = int(text)
    except ValueError as error:
        raise BadRequest("quantity", f"{text!r} is not a number") from error
    if not 1 <= quantity <= MAX_QUANTITY:
        raise BadRequest("quantity", f"choose 1 to {MAX_QUANTITY}")
    return quantity


def parse_rating(text: str) -> int:
    """Return the stars of a review, from 1 to 5."""
    if text not in ("1", "2", "3", "4", "5"):
        raise BadRequest("rating", "choose 1 to 5 stars")
    return int(text)


def parse_country(text: str) -> str:
    """Return a country's two letters, in capitals."""
    if len(text) != 2 or not text.isalpha():
        raise BadRequest("country", "give the two letters of the country, as in DE")
    return text.upper()


def parse_donation(text: str) -> int:
    """Return the cents of a donation such as "1.50"."""
    try:
        cents = int(Decimal(text) * 100)
    except (ValueError, ArithmeticError) as error:
        raise BadRequest("donation", f"{text!r} is not an amount") from error
    return max(cents, 0)


def parse_price(text: str) -> int:
    """Return the cents of a whole price such as "20"."""
    try:
        cents = int(text) * 100
    except ValueError as error:
        raise BadRequest("price", f"{text!r} is not a price") from error
    return cents


def parse_page(text: str) -> int:
    """Return a page number, counted from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise BadRequest("page", "pages are counted from 1")
    return int(text)
