"""Who drafts in `selfdrive repair`: the built-in engine, Claude with money of its own, or both."""

import os
import secrets
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from selfdrive_dagster.config import open_home
from selfdrive_dagster.config.settings import Patches
from selfdrive_dagster.errors import MissingTool, Refused
from selfdrive_dagster.patches.asking.money import Caps, micros
from selfdrive_dagster.patches.proposers import Proposer, Templates

if TYPE_CHECKING:
    from selfdrive_dagster.patches.asking.proposer import Claude


class Generator(Enum):
    """A drafter that can be named on the command line."""

    BUILTIN = "builtin"
    CLAUDE = "claude"


def drafting(
    chosen: tuple[Generator, ...], settings: Patches, budget: float | None
) -> tuple[Proposer, ...]:
    """Return the proposers, in the order in which they were named."""
    return tuple(
        claude(settings, budget) if one is Generator.CLAUDE else Templates() for one in chosen
    )


def claude(settings: Patches, budget: float | None) -> "Claude":
    """Return Claude, with a purse in the home. Raises where it could not be asked at all."""
    from selfdrive_dagster.adapters.claude import KEY
    from selfdrive_dagster.adapters.claude.opening import caps_of, open_claude, terms_of
    from selfdrive_dagster.adapters.purse_file import FilePurse

    if not os.environ.get(KEY):
        raise MissingTool(f"{KEY} is not set.", remedy=f"export {KEY}=…, or selfdrive rehearse")
    terms = terms_of(settings)
    if terms.price is None:
        raise Refused(
            f"The price of {terms.model} is unknown, and unknown is not free.",
            remedy=f"[patches.prices] {terms.model} = {{input = …, output = …}}, "
            "in US dollars for a million tokens",
        )
    caps = capped(caps_of(settings), budget)
    purse = FilePurse(open_home(os.environ), secrets.token_hex(4), caps)
    return open_claude(settings, purse, os.environ)


def capped(caps: Caps, budget: float | None) -> Caps:
    """Return the caps of one run: what --budget says, within the day of the settings if it has one.

    Raises Refused where neither allows any money.
    """
    replace = msgspec.structs.replace
    if budget is None and not caps.day:
        raise Refused(
            "No money may be spent on Claude.",
            remedy="--budget 0.50, or [patches] budget_usd_per_day in selfdrive.toml",
        )
    own = caps if budget is None else replace(caps, change=micros(budget))
    return replace(own, issue=None, day=caps.day or None)
