"""How a repair stands among the others that fit all tests as well.

Plausible repairs are grouped by behaviour: those that answered every recorded and perturbed input
alike are one group, however many ways there are to write it. A group weighs as much as its smallest
member, and a repair half as much for every `HALF` tokens that it changes more: of two explanations
the shorter one is the likelier (Rissanen's minimum description length, 1978). What could not be
compared is a group of its own: nobody knows that it agrees.

Belongs here: groups, weights, the check `unambiguous`. Does not belong: running anything.
"""

import msgspec

from selfdrive_dagster.model import Candidate, Check, Claim
from selfdrive_dagster.validation import neighbours

HALF = 3.0
DOMINANT = 0.5

Compared = dict[str, neighbours.Comparison]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A repair's group: its share of all weight, its members, and what tells the next one apart.

    `share` is None where the repair itself could not be compared; `says` tells why.
    """

    share: float | None
    agreeing: int = 0
    rivals: int = 0
    groups: int = 0
    says: str = ""


def weight(candidate: Candidate) -> float:
    """Return 1 for a change of one token, half of it for every HALF tokens more."""
    return float(0.5 ** (max(candidate.tokens - 1, 0) / HALF))


def groups(rivals: tuple[Candidate, ...], compared: Compared) -> list[tuple[Candidate, ...]]:
    """Group repairs by what they answered, the heaviest group first; each is in one group."""
    found: dict[tuple[str, str], list[Candidate]] = {}
    for rival in rivals:
        found.setdefault((rival.path, _behaviour(rival, compared)), []).append(rival)
    return sorted((tuple(group) for group in found.values()), key=lambda one: -_heaviest(one))


def stand(candidate: Candidate, rivals: tuple[Candidate, ...], compared: Compared) -> Standing:
    """Return where a repair stands among all repairs, itself among them."""
    comparison = compared.get(candidate.path)
    if comparison is not None and comparison.unfinished:
        return Standing(share=None, says=comparison.unfinished)
    if comparison is None or candidate not in rivals or not _is_comparable(candidate, comparison):
        return Standing(share=None, says="it could not be compared with others")
    all_groups = groups(rivals, compared)
    own = next(group for group in all_groups if candidate in group)
    share = _heaviest(own) / sum(_heaviest(group) for group in all_groups)
    other = next((group[0] for group in all_groups if candidate not in group), None)
    return Standing(
        share=share,
        agreeing=len(own),
        rivals=len(rivals),
        groups=len(all_groups),
        says="" if other is None else _apart(candidate, other, comparison),
    )


def check(candidate: Candidate, standing: Standing) -> Check:
    """Return the check `unambiguous`: a repair's group must outweigh all others together.

    Mitigations invent their value and say so; their rivals prove nothing against them.
    """
    if candidate.claim is Claim.MITIGATION:
        return Check(name="unambiguous", passed=True, says="a mitigation names what it invents")
    if standing.share is None:
        return Check(name="unambiguous", passed=None, says=standing.says)
    numbers = {
        "rivals": standing.rivals,
        "groups": standing.groups,
        "agreeing": standing.agreeing,
        "share": round(standing.share, 3),
    }
    if standing.share > DOMINANT:
        says = f"{standing.agreeing} of {standing.rivals} plausible repairs behave like this one"
        says += "" if standing.groups == 1 else f", {standing.share:.0%} of the weight"
        return Check(name="unambiguous", passed=True, says=says, numbers=numbers)
    says = f"other plausible repairs behave otherwise: {standing.says}"
    return Check(name="unambiguous", passed=False, says=says, numbers=numbers)


def _heaviest(group: tuple[Candidate, ...]) -> float:
    return max(weight(candidate) for candidate in group)


def _is_comparable(candidate: Candidate, comparison: neighbours.Comparison) -> bool:
    return candidate.id not in comparison.incomparable | comparison.fatal


def _behaviour(rival: Candidate, compared: Compared) -> str:
    comparison = compared.get(rival.path)
    if comparison is None or not _is_comparable(rival, comparison):
        return rival.id
    answers = [one.variants.get(rival.id) for one in comparison.neighbours]
    return msgspec.json.encode(answers).decode()


def _apart(one: Candidate, other: Candidate, comparison: neighbours.Comparison) -> str:
    if one.path != other.path:
        return f"another one changes {other.path}:{other.line}"
    return neighbours.telling_input(comparison, one.id, other.id)
