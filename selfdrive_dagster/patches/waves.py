"""Waves: which drafts are tried together, and in which order their makers are asked.

Belongs here: the order. Does not belong: trying (`search`), and what a proposer draws.
"""

from collections.abc import Iterable, Iterator

import msgspec

from selfdrive_dagster.model import Diagnosis, Product, Reproducer, Way
from selfdrive_dagster.patches.drafts import BUILTIN, Draft
from selfdrive_dagster.patches.proposers import Proposer, Reviser, Tried

ENOUGH = 10
"""Plausible repairs to look for, as repair.md §8 advises: five to ten."""

MITIGATIONS = 4
"""Plausible mitigations to look for: their values are invented, so more tell no more."""


def drafts_of(
    diagnosis: Diagnosis,
    product: Product,
    proposers: Iterable[Proposer],
    limit: int,
    _tried: list[tuple[Draft, str]] | None = None,
) -> Iterator[Draft]:
    """Yield the drafts of all proposers: what somebody made for this very crash comes first."""
    left = limit
    for proposer in sorted(proposers, key=lambda one: one.name == BUILTIN):
        for draft in proposer.propose(diagnosis, product, limit=left):
            left -= 1
            yield draft


def revised_by(
    diagnosis: Diagnosis,
    product: Product,
    proposers: Iterable[Proposer],
    limit: int,
    tried: list[tuple[Draft, str]],
) -> Iterator[Draft]:
    """Yield what proposers draft anew, knowing that nothing held."""
    told = tuple(Tried(draft=draft, outcome=outcome) for draft, outcome in tried)
    for proposer in proposers:
        if isinstance(proposer, Reviser) and limit > 0:
            yield from proposer.revise(diagnosis, product, told, limit=limit)


class Wave(msgspec.Struct, frozen=True):
    """Drafts that are tried in one sandbox, until `enough` of them are plausible."""

    drafts: tuple[Draft, ...]
    enough: int


def waves(
    drafts: tuple[Draft, ...], reproducer: Reproducer, asked: Iterator[tuple[Draft, ...]]
) -> Iterator[Wave]:
    """Yield what may be a repair first; then what a model drafts, which costs money and so is
    asked only where no repair holds; mitigations last.

    With a failing test of the product every draft may be a repair.
    """
    by_test = reproducer.way is Way.FAILING_TEST
    likely = tuple(draft for draft in drafts if by_test or draft.supports)
    if likely:
        yield Wave(likely, ENOUGH)
    yield from (Wave(made, ENOUGH) for made in asked if made)
    rest = tuple(draft for draft in drafts if not (by_test or draft.supports))
    if rest:
        yield Wave(rest, MITIGATIONS)
