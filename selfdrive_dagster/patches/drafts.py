"""A draft: one candidate as its proposer made it, before anybody tried it."""

import msgspec

from selfdrive_dagster.model import Support

BUILTIN = "builtin"
"""The generator that needs no model: the templates."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One patch of one file, with what it makes up and what speaks for it.

    `source` is the file's whole new text, `patch` the same as a unified diff. `invented`
    says what the draft would make up if nothing supports it ("returns None where it raised
    IndexError"); see claims. `tokens` counts changed tokens, `kind` is one of ordering.KINDS.
    `bits` is how long it takes to say which of a generator's drafts it is, 0 where nobody knows:
    the likelier its family at its place and the earlier it comes there, the shorter. `author` is
    whoever made a patch that was handed in (`authors`), "" for one that a generator drew.
    """

    family: str
    kind: str
    path: str
    line: int
    function: str
    patch: str
    source: str
    invented: str
    tokens: int
    bits: float = 0.0
    supports: tuple[Support, ...] = ()
    generator: str = BUILTIN
    author: str = ""
