"""Waves: which drafts are tried together, and in which order their makers are asked.

Belongs here: the order. Does not belong: trying (`search`), and what a proposer draws.
"""

from collections.abc import Callable, Iterable, Iterator

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
    drafts: tuple[Draft, ...],
    reproducer: Reproducer,
    asked: Iterator[tuple[Draft, ...]],
    paired: Callable[[bool, int], tuple[Draft, ...]] = lambda _whole, _limit: (),
    spare: int = 0,
) -> Iterator[Wave]:
    """Yield what may be a repair first; then what a model drafts, which costs money and so is
    asked only where no repair holds; mitigations last.

    With a failing test of the product every draft may be a repair. `paired` draws second edits
    when the first ones were tried: on candidates that mended some failing tests (asked with
    False) before the least likely single edits, on those that mended all and broke another (True)
    after them, since what answers always alike does that too. `spare` candidates of the budget
    are left for them; without any the last of many single edits give way.
    """
    by_test = reproducer.way is Way.FAILING_TEST
    likely = tuple(draft for draft in drafts if by_test or draft.supports)
    first = len(likely) - (ROOM_FOR_PAIRS if len(likely) > 2 * ROOM_FOR_PAIRS else 0)
    if likely:
        yield Wave(likely[:first], ENOUGH)
    half = paired(False, len(likely) - first + spare)
    if half:
        yield Wave(half, ENOUGH)
    if left := likely[first : len(likely) - max(0, len(half) - spare)]:
        yield Wave(left, ENOUGH)
    if whole := paired(True, max(0, spare - len(half))):
        yield Wave(whole, ENOUGH)
    yield from (Wave(made, ENOUGH) for made in asked if made)
    rest = tuple(draft for draft in drafts if not (by_test or draft.supports))
    if rest:
        yield Wave(rest, MITIGATIONS)
