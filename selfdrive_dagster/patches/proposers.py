"""Proposers: whoever drafts a patch for a diagnosis. The gate judges all of them alike.

The built-in one draws from the templates. `HandedIn` takes patches that somebody else made: they
get no trust from that, only their turn, and keep the author that they name. Belongs here: turning
an idea into drafts. Does not belong: trying or proving them, and where files lie.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Ask, Diagnosis, Product
from selfdrive_dagster.patches.authors import author_of
from selfdrive_dagster.patches.claims import supports
from selfdrive_dagster.patches.drafts import BUILTIN, Draft
from selfdrive_dagster.patches.templates import generate
from selfdrive_dagster.patches.templates.generate import is_editable
from selfdrive_dagster.patches.text import apply_patch, changed_lines, render_diff

INVENTS = "Invents:"
"""How a handed-in patch says, above its diff, what it makes up."""

UNTOLD = "does something that nothing in the project supports"


class Proposer(Protocol):
    """Drafts patches for one diagnosis, best first, none twice."""

    @property
    def name(self) -> str:
        """The generator's name, as settings and audits say it."""
        ...

    def propose(self, diagnosis: Diagnosis, product: Product, *, limit: int) -> Iterator[Draft]:
        """Yield at most `limit` drafts."""
        ...


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A draft and what our trial said of it."""

    draft: Draft
    outcome: str


@runtime_checkable
class Reviser(Protocol):
    """A proposer that can draft anew, knowing what our trials said of its drafts."""

    def revise(
        self, diagnosis: Diagnosis, product: Product, tried: tuple[Tried, ...], *, limit: int
    ) -> Iterator[Draft]:
        """Yield at most `limit` drafts that differ from what was tried."""
        ...


@runtime_checkable
class Asking(Proposer, Protocol):
    """A proposer that asks a model, and keeps a record of each question. It costs money."""

    def told(self) -> tuple[Ask, ...]:
        """Return what was asked since the last call of this."""
        ...


def asks_of(proposer: Proposer) -> tuple[Ask, ...]:
    """Return what a proposer asked a model since the last time, () for one that asks none."""
    return proposer.told() if isinstance(proposer, Asking) else ()


class Templates:
    """The built-in proposer: families of edits, no model, no key."""

    name = BUILTIN

    def propose(self, diagnosis: Diagnosis, product: Product, *, limit: int) -> Iterator[Draft]:
        """Yield the templates' drafts."""
        return generate(diagnosis, product, limit=limit)


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """A patch that somebody handed in: its name, and a unified diff, words above it allowed.

    `signed_by` is whoever signed it, "" for one that merely lay there.
    """

    name: str
    text: str
    signed_by: str = ""


class HandedIn:
    """Patches of others. One is for a diagnosis when it changes a file of its frames."""

    name = "drafts"
    family = "handed_in"

    def __init__(self, patches: Iterable[Patch]) -> None:
        self._patches = tuple(patches)

    def propose(self, diagnosis: Diagnosis, product: Product, *, limit: int) -> Iterator[Draft]:
        """Yield those that fit this revision and change one editable file of the frames."""
        drafts = (_draft(patch, diagnosis, product) for patch in self._patches)
        yield from [draft for draft in drafts if draft is not None][:limit]


def _draft(patch: Patch, diagnosis: Diagnosis, product: Product) -> Draft | None:
    """Return a patch as a draft, None when it is for something else or does not fit."""
    words, start, diff = f"\n{patch.text}".partition("\n--- ")
    try:
        overlay = apply_patch(product.read, start[1:] + diff)
    except BadInput:
        return None  # made for another revision
    (path, source), *more = overlay.items()
    frame = next((frame for frame in diagnosis.frames if frame.path == path), None)
    if more or source is None or frame is None or not is_editable(path, product):
        return None
    draft = Draft(
        family=HandedIn.family,
        kind="replace",
        path=path,
        line=frame.line,
        function=frame.function,
        patch=render_diff(path, product.read(path), source),
        source=source,
        invented=_invented(words),
        tokens=changed_lines(product.read(path), source),
        generator=HandedIn.name,
        author=author_of(words, patch.signed_by),
    )
    return msgspec.structs.replace(draft, supports=supports(draft, product))


def _invented(words: str) -> str:
    """Return what the words above a diff say that it makes up."""
    told = [line.removeprefix(INVENTS).strip() for line in words.splitlines()
            if line.startswith(INVENTS)]  # fmt: skip
    return told[0] if told and told[0] else UNTOLD
