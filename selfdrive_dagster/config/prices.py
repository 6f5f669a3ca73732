"""What models cost: a table that ships as data, `prices.toml`, and can be overridden in settings.

A price that nobody wrote down is unknown, and unknown is never free: such a model is not asked.
Does not belong here: arithmetic of what was used (`patches.asking.money`).
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

PRICES = Path(__file__).with_name("prices.toml")

PerMillion = Annotated[float, Meta(ge=0, le=1e4)]


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for a million tokens: read, written, put into the prompt cache, read from it.

    None: nobody wrote it down, so nothing is cached.
    """

    input: PerMillion
    output: PerMillion
    cache_write: PerMillion | None = None
    cache_read: PerMillion | None = None

    @property
    def has_cache(self) -> bool:
        """Say whether both prices of the prompt cache are known."""
        return self.cache_write is not None and self.cache_read is not None


Prices = Annotated[
    dict[str, Price],
    Meta(description="a table by model, like {my-model = {input = 3, output = 15}}, in US dollars"),
]


class PriceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shipped table: its source, and which model is asked where the owner names none."""

    default_model: str
    source: str
    seen: str
    prices: dict[str, Price]


def shipped(path: Path = PRICES) -> PriceTable:
    """Return the table that ships with Selfdrive."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), PriceTable)


def price_of(model: str, own: Mapping[str, Price], table: PriceTable) -> Price | None:
    """Return a model's price, the owner's before ours; None where nobody wrote it down."""
    return own.get(model) or table.prices.get(model)
