"""Money: what a question may cost at most, what it did cost, and the purse it comes from.

Amounts are whole micro-dollars, rounded up. A dollar for a million tokens is a micro-dollar a
token. Money is reserved before a question is sent and settled after; what is not known to be
free, or was never settled, counts as the whole reservation. Does not belong here: where a purse
keeps its book (`adapters`).
"""

import math
from fractions import Fraction
from typing import NamedTuple, Protocol

import msgspec

from selfdrive_dagster.config.prices import Price
from selfdrive_dagster.model import Ask, Usage

MICROS = 1_000_000
"""Micro-dollars of a dollar."""

OVERHEAD_TOKENS = 4_000
"""Tokens that the service adds to a prompt: roles, and the words that explain a schema."""


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-dollars that may be spent at most; None is no cap of its own."""

    call: int | None = None
    change: int | None = None
    issue: int | None = None
    day: int | None = None
    month: int | None = None


class Reserved(NamedTuple):
    """Money set aside under a name that settling asks for."""

    id: str


class Denied(NamedTuple):
    """Why no money was set aside."""

    says: str


class Purse(Protocol):
    """Money for one change of one issue. Whoever keeps it holds its caps, whoever else spends."""

    def reserve(self, micros: int, model: str) -> Reserved | Denied:
        """Set an amount aside, in one step with looking at every cap."""
        ...

    def settle(self, reserved: Reserved, ask: Ask) -> None:
        """Note what a question came to: `ask.spent_micros` takes the reservation's place."""
        ...


def micros(dollars: float) -> int:
    """Return dollars as whole micro-dollars, rounded down: a cap is never widened."""
    return math.floor(Fraction(str(dollars)) * MICROS)


def dollars(amount: int) -> str:
    """Return an amount as people write it, never less than it is: `$0.0124`."""
    return f"${math.ceil(amount / 100) / 10_000:.4f}"


def most(prompt_bytes: int, max_tokens: int, price: Price) -> int:
    """Return what a question may cost at most.

    A token stands for at least one byte, so bytes bound the tokens of any tokenizer.
    """
    dearest = max(price.input, price.cache_write or 0.0)
    return _amount(((prompt_bytes + OVERHEAD_TOKENS, dearest), (max_tokens, price.output)))


def cost(usage: Usage, price: Price) -> int | None:
    """Return what was used in money; None where cached tokens have no known price."""
    cached = usage.cache_write_tokens + usage.cache_read_tokens
    if cached and not price.has_cache:
        return None
    return _amount(
        (
            (usage.input_tokens, price.input),
            (usage.output_tokens, price.output),
            (usage.cache_write_tokens, price.cache_write or 0.0),
            (usage.cache_read_tokens, price.cache_read or 0.0),
        )
    )


def _amount(parts: tuple[tuple[int, float], ...]) -> int:
    return math.ceil(sum(tokens * Fraction(str(rate)) for tokens, rate in parts))


def exceeded(amount: int, spent: Caps, caps: Caps) -> str:
    """Say which cap an amount would pass, "" when none; `spent` is what is gone of each.

    `spent.call` is not looked at: a call begins with nothing.
    """
    for name in Caps.__struct_fields__:
        cap, gone = getattr(caps, name), getattr(spent, name) or 0
        if cap is not None and amount + (0 if name == "call" else gone) > cap:
            kept = "" if name == "call" else f", {dollars(gone)} of it is gone"
            return (
                f"the call may cost {dollars(amount)} and the cap per {name} is "
                f"{dollars(cap)}{kept}"
            )
    return ""
