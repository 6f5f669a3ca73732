"""Pairs: a second edit on top of one that turned a failing test green.

Two-edit fixes are far too many to be tried blindly. A candidate is *partial* when a failing test
passes with it and another still fails, or when it mends all and breaks a test that passed. Only on
these is a second edit drawn, by the same templates at the same suspected lines of the same file
(repair.md §4). Belongs here: joining edits. Does not belong: when pairs are tried (`waves`).
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from selfdrive_dagster.model import Diagnosis, Product
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.ordering import KINDS, round_robin
from selfdrive_dagster.patches.templates import generate
from selfdrive_dagster.patches.text import render_diff, rows

MOST_PARTIAL = 6
"""Partial candidates that a second edit is tried on, those that mend most first."""


class Partial(msgspec.Struct, frozen=True):
    """A candidate that turned `green` of the failing tests green; `whole` when it was all."""

    draft: Draft
    green: int
    whole: bool


class _Edited(Product, frozen=True, kw_only=True):
    """A product with another text of one file."""

    edited: str
    text: str

    def read(self, path: str) -> str:
        return self.text if path == self.edited else super().read(path)


def partial(draft: Draft, by: str, targets: tuple[str, ...]) -> Partial | None:
    """Return a candidate as a partial one, None when the first failing test failed still.

    `by` is the test that ended its trial, "" when nobody knows; failing tests come first there.
    """
    if not by or by == targets[0]:
        return None
    whole = by not in targets
    return Partial(draft, len(targets) if whole else targets.index(by), whole)


def pairs(
    partials: Iterable[Partial], diagnosis: Diagnosis, product: Product, *, limit: int
) -> Iterator[Draft]:
    """Yield at most `limit` drafts of two edits, in turn from each partial candidate."""
    likely = sorted(partials, key=lambda one: (-one.green, one.draft.tokens))[:MOST_PARTIAL]
    drawn = round_robin(_on(one.draft, diagnosis, product, limit) for one in likely)
    yield from islice(_distinct(drawn), max(0, limit))


def _distinct(drafts: Iterable[Draft]) -> Iterator[Draft]:
    seen: set[str] = set()
    for draft in drafts:
        if draft.source not in seen:
            seen.add(draft.source)
            yield draft


def _on(first: Draft, diagnosis: Diagnosis, product: Product, limit: int) -> Iterator[Draft]:
    given = {name: getattr(product, name) for name in Product.__struct_fields__}
    edited = _Edited(**given, edited=first.path, text=first.source)
    old = product.read(first.path)
    moved = _moved(diagnosis, first, len(rows(first.source)) - len(rows(old)))
    for second in generate(moved, edited, limit=limit):
        if second.path == first.path and second.source != old:
            yield joined(first, second, old)


def joined(first: Draft, second: Draft, old: str) -> Draft:
    """Return two edits as one draft; `second` was drawn on the text of the first."""
    return msgspec.structs.replace(
        second,
        family=f"{first.family}+{second.family}",
        kind=max(first.kind, second.kind, key=KINDS.index),
        patch=render_diff(first.path, old, second.source),
        invented=f"{first.invented}, and {second.invented}",
        tokens=first.tokens + second.tokens,
        bits=first.bits + second.bits,
        supports=(),
    )


def _moved(diagnosis: Diagnosis, first: Draft, by: int) -> Diagnosis:
    """Return a diagnosis whose lines below the first edit stand where they stand now."""
    lines = tuple(
        msgspec.structs.replace(one, line=one.line + by)
        if one.path == first.path and one.line > first.line
        else one
        for one in diagnosis.suspicions
    )
    return msgspec.structs.replace(diagnosis, suspicions=lines)
