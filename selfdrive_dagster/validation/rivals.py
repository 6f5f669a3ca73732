"""What is known of each candidate before the suite runs, and how it stands among its rivals.

One experiment for each file lets all candidates answer the same inputs. What recorded calls
refute, and what rests on the word of one test, has no vote on which behaviour dominates.

Belongs here: who is compared, who votes. Does not belong: weights (`dominance`), verdicts (`gate`).
"""

import msgspec

from selfdrive_dagster.model import Candidate, Check, Claim, Progress, Way
from selfdrive_dagster.patches.lengths import length_of
from selfdrive_dagster.validation import checks, general, neighbours
from selfdrive_dagster.validation.dominance import Standing, standings
from selfdrive_dagster.validation.patched import Text
from selfdrive_dagster.validation.reaching import reaching_tests, vouching

MORE = 2.0
"""Bits of a repair that answers otherwise than the base where that did not fail."""

Compared = dict[str, neighbours.Comparison]


def compare_all(texts: tuple[Text, ...], case: checks.Case, progress: Progress) -> Compared:
    """Run one neighbour experiment for each file that candidates change."""
    compared: Compared = {}
    for path in dict.fromkeys(text.candidate.path for text in texts):
        here = [t for t in texts if t.candidate.path == path and t.source is not None]
        if not here:
            continue
        progress(f"comparing {len(here)} candidates with the base on neighbouring inputs")
        compared[path] = neighbours.compare(
            tuple(text.candidate for text in here),
            {text.candidate.id: text.source for text in here if text.source is not None},
            case.reproducer,
            reaching_tests(path, case),
            case.product,
            case.sandbox,
            seed=case.seed,
            oracles=vouching(case),
        )
    return compared


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a candidate before the whole suite runs; None where it is not."""

    neighbours: Check | None = None
    general: Check | None = None
    standing: Standing | None = None
    unfinished: str = ""

    @property
    def votes(self) -> bool:
        """Say whether recorded calls and its own values leave it a possible answer."""
        return all(check is not None and check.passed for check in (self.neighbours, self.general))


def known_of(text: Text, compared: Compared, case: checks.Case) -> Known:
    """Return what recorded calls and its own values say of one candidate."""
    comparison = compared.get(text.candidate.path) if text.source is not None else None
    return Known(
        neighbours=_neighbour_check(text.candidate, comparison),
        general=_general_check(text.candidate, text.overlay or {}, comparison, case),
        unfinished=comparison.unfinished if comparison else "",
    )


def with_standings(
    texts: tuple[Text, ...], known: dict[str, Known], compared: Compared
) -> dict[str, Known]:
    """Let the repairs that may be right stand against each other; mitigations have no vote."""
    repairs = [
        text.candidate
        for text in texts
        if text.candidate.claim is Claim.REPAIR and text.candidate.path in compared
        if text.source is not None and not compared[text.candidate.path].lacks(text.candidate.id)
    ]
    voters = tuple(one for one in repairs if known[one.id].votes)
    lengths = {one.id: length_of(one) + _more(one, compared[one.path]) for one in voters}
    found = standings(voters, lengths, compared)
    replace = msgspec.structs.replace
    return {name: replace(one, standing=found.get(name)) for name, one in known.items()}


def _more(candidate: Candidate, comparison: neighbours.Comparison) -> float:
    """Return the bits that a candidate costs for what nobody asked of it."""
    return MORE if neighbours.says_more(comparison, candidate.id) else 0.0


def _neighbour_check(candidate: Candidate, compared: neighbours.Comparison | None) -> Check:
    if compared is None:
        says = "the patch changes more than one file, so it was not compared"
        return Check(name="neighbours", passed=None, says=says)
    return neighbours.judge(compared, candidate)


def ambiguity_check(candidate: Candidate, known: Known) -> Check:
    """A repair's behaviour must dominate among those of the repairs that may be right.

    Mitigations invent their value and say so; their rivals prove nothing against them.
    """
    if candidate.claim is Claim.MITIGATION:
        return Check(name="unambiguous", passed=True, says="a mitigation names what it invents")
    if known.unfinished:
        return Check(name="unambiguous", passed=None, says=known.unfinished)
    if known.standing is None:
        says = "it could not be compared with others, or other checks speak against it"
        return Check(name="unambiguous", passed=None, says=says)
    return known.standing.check()


def _general_check(
    candidate: Candidate,
    overlay: checks.Overlay,
    compared: neighbours.Comparison | None,
    case: checks.Case,
) -> Check:
    if candidate.claim is Claim.MITIGATION or case.reproducer.way is not Way.FAILING_TEST:
        says = "its claim does not rest on a failing test"
        return Check(name="general", passed=True, says=says)
    try:
        return general.judge(candidate, overlay, case.reproducer, case.product, compared)
    except SyntaxError as error:
        says = f"{candidate.path} or a failing test cannot be read: {error.msg}"
        return Check(name="general", passed=None, says=says)
