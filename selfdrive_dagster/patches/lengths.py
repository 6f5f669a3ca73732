"""How long it takes to say a candidate, in bits: the shorter, the likelier (Rissanen, 1978).

Belongs here: measuring one candidate. Does not belong: holding one against another (`dominance`).
"""

import re
from collections.abc import Iterable

from selfdrive_dagster.model import Candidate

TOKEN = 0.5
"""Bits of a changed token: most of them repeat what stands beside."""

ONE_SIDED = 2
"""Tokens that count for an edit which only deletes or only inserts."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


def length_of(candidate: Candidate) -> float:
    """Return how many bits it takes to say a candidate."""
    return candidate.bits + TOKEN * size_of(candidate.patch)


def size_of(patch: str) -> int:
    """Count the tokens that a unified diff changes, at least 1; one-sided edits count more."""
    lines = patch.partition("\n@@")[2].splitlines()
    old = tokens(line[1:] for line in lines if line.startswith("-"))
    new = tokens(line[1:] for line in lines if line.startswith("+"))
    shared = _shared(old, new)
    old, new = old[shared:], new[shared:]
    tail = _shared(old[::-1], new[::-1])
    gone, came = len(old) - tail, len(new) - tail
    one_sided = bool(gone) != bool(came)
    return max(1, max(gone, came) + ONE_SIDED * one_sided)


def tokens(lines: Iterable[str]) -> list[str]:
    """Split lines into names, numbers and single signs; white space is none."""
    return [word for line in lines for word in _TOKEN.findall(line)]


def _shared(one: list[str], other: list[str]) -> int:
    """Count the equal tokens at the beginning."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
