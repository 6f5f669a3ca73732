"""Carrying an approval over to a base that moved: only where nothing changed that was decided on.

The signed statement stays the same and stays the only thing that is believed: each time it is
asked for, the old and the new facts are compared anew. Equal must be the patch to the byte, the
policy, and what was told of the patch (`ALIKE`); untouched between the bases every file that the
patch changes, that the crash ran through, that its test lies in or that vouches for its value.
The page cannot be equal, since it names its base and counts users: what it says of the patch is
compared piece by piece.
"""

from collections.abc import Callable, Iterator

from selfdrive_dagster.adapters.approving.facts import Desk, Facts, newest, proven, stored
from selfdrive_dagster.adapters.outside import names_between
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import Candidate, Diagnosis, Report
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
    other = tuple(unlike(proven(stored(desk.evidence, old.report, Proof)), facts))
    if other or not carries_over(old, new, same_patch=True, touched=touched, moved=moved):
        told = ", ".join((*sorted(touched & moved), *other))
        raise Refused(
            f"The base moved and with it {told}: the approval is not carried over.",
            remedy=f"look at it as it is now: selfdrive approve {new.change_id}",
        )
    return new


Told = Callable[[Candidate, Report], object]

ALIKE: tuple[tuple[str, Told], ...] = (
    ("its verdict", lambda _, report: report.verdict),
    ("its claim", lambda _, report: report.claim),
    ("its checks", lambda _, report: sorted((one.name, one.passed) for one in report.checks)),
    ("the test that reproduces it", lambda _, report: report.reproducer_sha256),
    ("what it makes up", lambda candidate, _: candidate.invented),
    ("what supports it", lambda candidate, _: sorted(one.kind for one in candidate.supports)),
    ("who made it", lambda candidate, _: candidate.author),
)
"""What a signer was told of a patch and of its proof, and must be told alike on another base."""


def unlike(signed: tuple[Candidate, Report], facts: Facts) -> Iterator[str]:
    """Yield what is told otherwise of a patch than when it was signed."""
    for name, told in ALIKE:
        if told(*signed) != told(facts.candidate, facts.report):
            yield name


def deciding_files(facts: Facts, desk: Desk) -> frozenset[str]:
    """Return the files that an approval rests on, from the repository's top."""
    found, _ = newest(desk, facts.binding.change_id, DIAGNOSIS, Diagnosis)
    own = {facts.candidate.path, *(frame.path for frame in found.frames)}
    own |= {one.where.partition(":")[0] for one in facts.candidate.supports}
    prefix = desk.repository.shadow.place.prefix
    made = {facts.proposal.reproducer_path} if facts.proposal.reproducer_path else set()
    return frozenset(f"{prefix}{path}" for path in own | made)
