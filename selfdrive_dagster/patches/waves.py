"""Waves: which drafts are tried together, and in which order their makers are asked.

Belongs here: the order. Does not belong: trying (`search`), and what a proposer draws.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from selfdrive_dagster.model import Diagnosis, Product, Reproducer, Way
from selfdrive_dagster.patches.drafts import BUILTIN, Draft
from selfdrive_dagster.patches.proposers import Proposer, Reviser, Tried

ENOUGH = 10
"""Plausible repairs to look for, as repair.md §8 advises: five to ten."""

ROOM_FOR_PAIRS = 80
"""Of many single edits the last give way to second edits, where a first one mended something."""

MITIGATIONS = 4
"""Plausible mitigations to look for: their values are invented, so more tell no more."""


def drafts_of(
    diagnosis: Diagnosis,
    product: Product,
    proposers: Iterable[Proposer],
    limit: int,
    _tried: list[tuple[Draft, str]] | None = None,
) -> Iterator[Draft]:
    """Yield the drafts of all proposers, none twice: what was made for this very crash first."""
    left = limit
    made: set[tuple[str, str]] = set()
    for proposer in sorted(proposers, key=lambda one: one.name == BUILTIN):
        for draft in proposer.propose(diagnosis, product, limit=left):
            if (draft.path, draft.source) not in made:
                made.add((draft.path, draft.source))
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
    drafts: Iterable[Draft],
    reproducer: Reproducer,
    asked: Iterator[tuple[Draft, ...]],
    paired: Callable[[bool, int], tuple[Draft, ...]],
    most: int,
) -> Iterator[Wave]:
    """Yield what may be a repair first; then what a model drafts, which costs money and so is
    asked only where no repair holds; mitigations last.

    With a failing test of the product every draft may be a repair, and none is drawn before its
    wave. `paired` draws second edits when the first ones were tried: on candidates that mended some
    failing tests (asked with False) before the least likely single edits, on those that mended all
    and broke another (True) after them, since what answers always alike does that too. Of the
    `most` candidates of the budget the last single edits give way to them.
    """
    by_test = reproducer.way is Way.FAILING_TEST
    drawn = () if by_test else tuple(drafts)
    rest = tuple(draft for draft in drawn if not draft.supports)
    likely = iter(drafts) if by_test else (draft for draft in drawn if draft.supports)
    left = most - len(rest)

    def next_of(some: Iterable[Draft]) -> Iterator[Wave]:
        nonlocal left
        if made := tuple(islice(some, max(0, left))):
            left -= len(made)
            yield Wave(made, ENOUGH)

    room = ROOM_FOR_PAIRS if left > 2 * ROOM_FOR_PAIRS else 0
    yield from next_of(islice(likely, left - room))
    yield from next_of(paired(False, left))
    yield from next_of(likely)
    yield from next_of(paired(True, left))
    yield from (Wave(made, ENOUGH) for made in asked if made)
    if rest:
        yield Wave(rest, MITIGATIONS)
