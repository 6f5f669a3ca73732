"""How sure are we of a candidate? A number from 0 to 1, and the parts that make it.

- `agreement`: the share of its behaviour among the plausible repairs (`dominance`).
- `witnesses`: failing tests that it mends, and recorded calls that the base answered without
  failing and the patch answers alike; of n that all agree (n + 1) / (n + 2), Laplace's rule of
  succession: one more may say otherwise.
- `mutants`: small changes of the patch's own lines that some test notices (`mutating`). Where
  none is noticed the tests say nothing of these lines, which halves the confidence.

The parts speak of different things, so the confidence is their product; a part that is not
known is left out and named. Its forms were reasoned out and looked at on the development pairs
(`bench/real_bugs.py`), which are few: read it as an order, not as a frequency.
"""

import math

from selfdrive_dagster.model import Check, Claim, Confidence, Part
from selfdrive_dagster.validation.dominance import Standing
from selfdrive_dagster.validation.mutating import Noticed

LEAST = 0.5
"""Below this a repair is not proposed, unless the settings say otherwise."""


def confidence(
    standing: Standing | None, neighbours: Check | None, noticed: Noticed | None, mended: int
) -> Confidence:
    """Return the confidence in one candidate from what is known of it.

    `mended` counts the failing tests that pass with it.
    """
    parts = (_agreement(standing), _witnesses(neighbours, mended), _mutants(noticed))
    known = [part.value for part in parts if part.value is not None]
    # Of what nothing is known, nothing is believed.
    value = math.prod(known) if known else 0.0
    return Confidence(value=round(value, 3), parts=parts)


def check(claim: Claim, found: Confidence, least: float) -> Check:
    """Return the check `confident`: what is too doubtful is unknown, not wrong."""
    if claim is Claim.MITIGATION:
        says = "a mitigation names what it invents, and nothing tells how likely that is right"
        return Check(name="confident", passed=True, says=says)
    parts = ", ".join(f"{p.name} {p.value:.2f}" for p in found.parts if p.value is not None)
    numbers = {"confidence": found.value, "least": least}
    if found.value >= least:
        says = f"the confidence is {found.value:.2f} ({parts}), at least {least:.2f} is wanted"
        return Check(name="confident", passed=True, says=says, numbers=numbers)
    says = f"the confidence is {found.value:.2f} ({parts}), below the {least:.2f} that is wanted"
    return Check(name="confident", passed=None, says=says, numbers=numbers)


def _agreement(standing: Standing | None) -> Part:
    if standing is None:
        return Part(name="agreement", value=None, says="it was not compared with other repairs")
    says = (
        f"{standing.agreeing} of {standing.rivals} plausible repairs behave alike, "
        f"in {standing.groups} behaviour{'s' * (standing.groups != 1)}"
    )
    return Part(name="agreement", value=round(standing.share, 3), says=says)


def _witnesses(neighbours: Check | None, mended: int) -> Part:
    if neighbours is None:
        return Part(name="witnesses", value=None, says="nothing was compared")
    agreed = int(neighbours.numbers.get("agreed", 0))
    differed = int(neighbours.numbers.get("differed", 0))
    value = round((agreed + mended + 1) / (agreed + mended + differed + 2), 3)
    says = (
        f"{mended} failing test{'s' * (mended != 1)} mended, and {agreed} of {agreed + differed} "
        "recorded calls answered as on the base"
    )
    return Part(name="witnesses", value=value, says=says)


def _mutants(noticed: Noticed | None) -> Part:
    if noticed is None or not noticed.made:
        return Part(name="mutants", value=None, says="no small change of its lines was tried")
    value = round((1 + noticed.killed / noticed.made) / 2, 3)
    says = f"the tests notice {noticed.killed} of {noticed.made} small changes of its lines"
    return Part(name="mutants", value=value, says=says)
