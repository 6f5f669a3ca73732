"""Shipping: how long a parcel takes and what it costs. Weight is in grams."""

from collections.abc import Sequence
from dataclasses import dataclass

from shop.cart import weight_grams
from shop.models import CartLine

ZONES = {
    "DE": "home",
    "AT": "near",
    "CH": "near",
    "DK": "near",
    "FR": "near",
    "NL": "near",
    "PL": "near",
}
DAYS = {"home": 2, "near": 4, "world": 9}
RATES_CENTS = {"home": 490, "near": 990, "world": 1_990}
FREE_FROM_GRAMS = 0


@dataclass(frozen=True)
class Estimate:
    """What we tell a customer before the order."""

    cents: int
    days: int


def delivery_days(country: str) -> int:
    """Return how many working days a parcel takes."""
    return DAYS[ZONES.get(country, "world")]


def flat_rate(country: str) -> int:
    """Return the cents that a parcel costs, whatever it weighs."""
    return RATES_CENTS[ZONES.get(country, "world")]


def estimate(lines: Sequence[CartLine], country: str) -> Estimate:
    """Return cost and days for a cart; what weighs nothing ships for nothing."""
    if weight_grams(lines) <= FREE_FROM_GRAMS:
        return Estimate(cents=0, days=0)
    return Estimate(cents=flat_rate(country), days=delivery_days(country))
