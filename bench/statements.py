"""Two statements on parse 1.4, whose crash is an index beyond a one-digit text.

A crash reproducer and the old suite accept both patches; the gate must not.
"""

import difflib

import msgspec

from selfdrive_dagster.model import Candidate, Claim, Product, Reproducer, Sandbox
from selfdrive_dagster.validation.gate import prove_one
from selfdrive_dagster.validation.repair import measure_base

CRASHING = "        if string[0] == '0':\n"
GUARDS = {
    "a length guard that breaks one-digit input": (
        "        if len(string) < 2:\n            return None\n",
        "returns None where it raised IndexError",
    ),
    "`return 10**9`": (
        "        if string == '0':\n            return 10**9\n",
        "returns 10**9 where it raised IndexError",
    ),
}


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said of a hand-made patch, once for each claim it could make."""

    patch: str
    claim: str
    verdict: str
    reason: str

    def told(self) -> str:
        """Return the statement as one line."""
        return f"{self.patch}, claiming {self.claim}: {self.verdict} ({self.reason})"


def on_parse(reproducer: Reproducer, product: Product, box: Sandbox) -> tuple[Statement, ...]:
    """Judge both patches, claiming what the engine would grant and claiming REPAIR."""
    base = measure_base(product, box)
    before = product.read("parse.py")
    found = []
    for name, (guard, invented) in GUARDS.items():
        for claim in (Claim.MITIGATION, Claim.REPAIR):
            after = before.replace(CRASHING, guard + CRASHING, 1)
            report = prove_one(
                by_hand(before, after, claim, invented), reproducer, base, product, box
            )
            found.append(
                Statement(
                    patch=name,
                    claim=claim.value,
                    verdict=report.verdict.value,
                    reason=report.reason,
                )
            )
    return tuple(found)


def by_hand(before: str, after: str, claim: Claim, invented: str) -> Candidate:
    """Return a candidate that nobody's engine drew."""
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), "a/parse.py", "b/parse.py"
    )
    return Candidate(
        id=f"cnd_{claim.value}",
        generator="by hand",
        family="guard",
        path="parse.py",
        line=0,
        function="int_convert.<locals>.f",
        patch="".join(lines),
        claim=claim,
        invented="" if claim is Claim.REPAIR else invented,
    )


def holds(found: tuple[Statement, ...]) -> bool:
    """Say whether the length guard is uncertified and nothing is certified."""
    guard = next(iter(GUARDS))
    broken = [one for one in found if one.patch == guard and one.verdict != "uncertified"]
    return not broken and all(one.verdict != "certified" for one in found)
