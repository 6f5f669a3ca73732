"""Authors: who made a patch that was handed in, as the words above its diff tell.

`git format-patch` writes `From: Ada <ada@example.org>` there; a forwarded patch names its author
once more below, and others follow as `Co-authored-by:`. All of them made it. Nothing proves such
a name: it keeps whoever bears it from approving the patch, and earns it no trust. Does not belong
here: who may approve (`rollout.approval`).
"""

import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses

UNKNOWN = "unknown"
"""The author of a handed-in patch that names nobody: they may be the approver."""

NAMED = re.compile(r"^(?:from|co-authored-by):[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.IGNORECASE | re.M)
"""A header that names an author, with the lines that continue it."""


def author_of(words: str, signed_by: str = "") -> str:
    """Return who made a patch by the words above its diff, UNKNOWN where nobody is named.

    `signed_by` is whoever handed it in by signature: one of its authors whatever it says.
    """
    told = (decoded(" ".join(found.split())) for found in NAMED.findall(words))
    return ", ".join(dict.fromkeys(one for one in (signed_by, *told) if one)) or UNKNOWN


def names_of(author: str) -> frozenset[str]:
    """Return every name that an author goes by: whole, by address, by display name.

    None for an author that is UNKNOWN, or of a patch that the loop drew itself.
    """
    return frozenset(_names(author)) if author not in ("", UNKNOWN) else frozenset()


def _names(author: str) -> Iterator[str]:
    yield author
    for display, address in getaddresses([author]):
        yield from (name for name in (display, address) if name)
    yield from (word.strip("<>()[];,:\"'") for word in author.split() if "@" in word)


def decoded(header: str) -> str:
    """Return a header's text; what is not encoded as it says stays as it is."""
    try:
        return " ".join(str(make_header(decode_header(header))).split())
    except (HeaderParseError, LookupError, UnicodeDecodeError, ValueError):
        return header
