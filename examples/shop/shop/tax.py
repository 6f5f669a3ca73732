"""Value-added tax, contained in every price. Rates are fractions, from `data/tax.json`."""

from collections.abc import Iterable, Mapping

from shop.models import CartLine
from shop.seed import load


def load_rates() -> dict[str, float]:
    """Return the rate of each category."""
    rates: dict[str, float] = load("tax")
    return rates


def net_cents(gross_cents: int, rate: float) -> int:
    """Return the price without tax. Raises ValueError for a rate that is no fraction."""
    if not 0 <= rate < 1:
        raise ValueError(f"a tax rate is a fraction below 1, not {rate}")
    return round(gross_cents / (1 + rate))


def line_tax(gross_cents: int, category: str, rates: Mapping[str, float]) -> int:
    """Return the tax within the price of some goods. Raises ValueError, never guesses."""
    return gross_cents - net_cents(gross_cents, rates[category])


def contained_tax(lines: Iterable[CartLine], rates: Mapping[str, float]) -> int:
    """Return the tax within a cart, in cents."""
    return sum(line_tax(line.cents, line.product.category, rates) for line in lines)
