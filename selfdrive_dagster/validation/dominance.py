"""Which behaviour dominates among the repairs that fit all tests?

Plausible patches are plentiful and most are wrong, so one that fits is no answer while another
fits as well and behaves otherwise. Candidates that answered every compared input alike are one
*behaviour*. Each candidate weighs 2 to the power of minus its length, as in minimum description
length (Rissanen, 1978): of two explanations the shorter is the likelier. To say a candidate takes
its family at its place, which of the family's drafts there it is, and its tokens: one of sixty
names is longer than the only test for an empty list that this exception calls for. It is longer
too where it answers otherwise than code that did not fail (`rivals`). What deletes or only inserts
is longer than it looks, since it takes a decision away from the code or adds one that the code
never made. A behaviour weighs what its shortest candidate does, so that many ways to write one
thing outvote nothing; its share is its weight of the weight of all, and it dominates with more
than DOMINANT.

Who has a vote is the gate's business: what recorded calls refute, and what rests on one test's
own literal, has none.
"""

from collections.abc import Mapping

import msgspec

from selfdrive_dagster.model import Candidate, Check
from selfdrive_dagster.validation.neighbours import Comparison, behaviours, telling_input

DOMINANT = 0.7
"""The share from which on a behaviour dominates: on the development pairs a wrong answer had two
thirds beside one that is as long but for its turn, and a right one more than three quarters."""
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
        if self.share > DOMINANT:
            says = f"{self.agreeing} of {self.rivals} plausible repairs behave like this one"
            return Check(name="unambiguous", passed=True, says=says, numbers=numbers)
        says = f"other plausible repairs behave otherwise: {self.told or 'in another file'}"
        return Check(name="unambiguous", passed=False, says=says, numbers=numbers)


def standings(
    voters: tuple[Candidate, ...], lengths: Mapping[str, float], compared: Compared
) -> dict[str, Standing]:
    """Return each voter's standing. `lengths` are bits, see `lengths.length_of`; ids are keys.

    Behaviours of different files are never the same: nothing compared them.
    """
    groups: list[list[Candidate]] = []
    for path in dict.fromkeys(one.path for one in voters):
        here = tuple(one for one in voters if one.path == path)
        groups += behaviours(compared[path], here)
    shortest = min(lengths.values(), default=0.0)
    weights = [max(2.0 ** (shortest - lengths[one.id]) for one in group) for group in groups]
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
