"""Which behaviour dominates among the repairs that fit all tests?

Plausible patches are plentiful and most are wrong, so one that fits is no answer while another
fits as well and behaves otherwise. Candidates that answered every compared input alike are one
*behaviour*. Each candidate weighs 2 to the power of minus its size, as in minimum description
length (Rissanen, 1978): of two explanations the shorter is the likelier, and a mistake is mostly
one small edit. What deletes or only inserts is longer than it looks, since it takes a decision
away from the code or adds one that the code never made. A behaviour weighs what its shortest
candidate does, so that many ways to write one thing outvote nothing; its share is its weight of
the weight of all, and it dominates with more than half.

Who has a vote is the gate's business: what recorded calls refute, and what rests on one test's
own literal, has none.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec

from selfdrive_dagster.model import Candidate, Check
from selfdrive_dagster.validation.neighbours import Comparison, behaviours, telling_input

HALF = 0.5
ONE_SIDED = 2
"""Tokens that count for an edit which only deletes or only inserts."""

_TOKEN = re.compile(r"\w+|[^\w\s]")

Compared = Mapping[str, Comparison]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a candidate stands among its rivals: the share of its behaviour, in (0, 1].

    `rivals` counts all voters, `agreeing` those that behave alike (itself too), `groups` the
    behaviours. `told` is an input on which the strongest other behaviour differs, with both
    answers, "" where there is none.
    """

    share: float
    rivals: int
    agreeing: int
    groups: int
    told: str

    def check(self) -> Check:
        """Return the check `unambiguous`."""
        numbers = {
            "rivals": self.rivals,
            "groups": self.groups,
            "agreeing": self.agreeing,
            "share": round(self.share, 3),
        }
        if self.share > HALF:
            says = f"{self.agreeing} of {self.rivals} plausible repairs behave like this one"
            return Check(name="unambiguous", passed=True, says=says, numbers=numbers)
        says = f"other plausible repairs behave otherwise: {self.told or 'in another file'}"
        return Check(name="unambiguous", passed=False, says=says, numbers=numbers)


def standings(
    voters: tuple[Candidate, ...], sizes: Mapping[str, float], compared: Compared
) -> dict[str, Standing]:
    """Return each voter's standing. `sizes` are tokens, see `size_of`; ids are keys.

    Behaviours of different files are never the same: nothing compared them.
    """
    groups: list[list[Candidate]] = []
    for path in dict.fromkeys(one.path for one in voters):
        here = tuple(one for one in voters if one.path == path)
        groups += behaviours(compared[path], here)
    weights = [max(2.0 ** (1 - sizes[one.id]) for one in group) for group in groups]
    total = sum(weights)
    made: dict[str, Standing] = {}
    for place, group in enumerate(groups):
        other = _strongest_other(place, groups, weights)
        for one in group:
            made[one.id] = Standing(
                share=weights[place] / total,
                rivals=len(voters),
                agreeing=len(group),
                groups=len(groups),
                told=_told(one, other, compared),
            )
    return made


def _strongest_other(
    place: int, groups: list[list[Candidate]], weights: list[float]
) -> Candidate | None:
    others = [number for number in range(len(groups)) if number != place]
    return groups[max(others, key=lambda number: weights[number])][0] if others else None


def _told(one: Candidate, other: Candidate | None, compared: Compared) -> str:
    if other is None or other.path != one.path:
        return ""
    return telling_input(compared[one.path], one.id, other.id)


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
