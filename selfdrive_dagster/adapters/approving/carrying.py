"""Carrying an approval over to a base that moved: only where nothing changed that was decided on.

The signed statement stays the same and stays the only thing that is believed: each time it is
asked for, the old and the new facts are compared anew. Equal must be the patch to the byte, the
verdict, the claim and the policy; untouched between the bases every file that the patch changes,
that the crash ran through, and that its test lies in.
"""

from selfdrive_dagster.adapters.approving.facts import Desk, Facts, newest, proven, stored
from selfdrive_dagster.adapters.outside import names_between
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import Diagnosis
from selfdrive_dagster.rollout.approval import Binding, Statement, carries_over
from selfdrive_dagster.validation import Proof

MAY_DIFFER = frozenset({"base", "tree", "report"})
DIAGNOSIS = "patches/diagnosis"


def bound_to(statement: Statement, facts: Facts, desk: Desk) -> Binding:
    """Return the binding that a statement holds for now: today's, if it is carried over to it.

    Raises Refused where the base moved and the approval must not follow.
    """
    old, new = statement.binding, facts.binding
    differing = frozenset(old.differing(new))
    if "base" not in differing or not differing <= MAY_DIFFER:
        return old
    moved = frozenset(names_between(desk.repository, old.base, new.base))
    touched = deciding_files(facts, desk)
    signed = proven(stored(desk.evidence, old.report, Proof))[1]
    same = (signed.verdict, signed.claim) == (facts.report.verdict, facts.report.claim)
    if not (same and carries_over(old, new, same_patch=True, touched=touched, moved=moved)):
        told = ", ".join(sorted(touched & moved)) or "its verdict"
        raise Refused(
            f"The base moved and with it {told}: the approval is not carried over.",
            remedy=f"look at it as it is now: selfdrive approve {new.change_id}",
        )
    return new


def deciding_files(facts: Facts, desk: Desk) -> frozenset[str]:
    """Return the files that an approval rests on, from the repository's top."""
    found, _ = newest(desk, facts.binding.change_id, DIAGNOSIS, Diagnosis)
    own = {facts.candidate.path, *(frame.path for frame in found.frames)}
    prefix = desk.repository.shadow.place.prefix
    made = {facts.proposal.reproducer_path} if facts.proposal.reproducer_path else set()
    return frozenset(f"{prefix}{path}" for path in own | made)
