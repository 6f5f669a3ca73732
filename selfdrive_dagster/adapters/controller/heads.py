"""Heads: which commit may be merged now, where others went on while a change met users.

On the base that it was proven on it is the very commit. On a later head it is the same patch on
top of that, once a run has proven it there; until then the ledger is told that it is awaited.
Does not belong here: the proving (`validation.head`), and moving a branch.
"""

from datetime import datetime
from typing import NamedTuple

from selfdrive_dagster.adapters.approving.carrying import deciding_files
from selfdrive_dagster.adapters.approving.facts import facts_of, newest
from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.controller.tools import Tools
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.adapters.outside import names_between, patch_between
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import SandboxLevel
from selfdrive_dagster.rollout.observed import HEAD_MOVED
from selfdrive_dagster.validation.head import HeadProof

HEAD = "validation/head"


class Landing(NamedTuple):
    """A commit that may be merged, and the head that it stands on."""

    commit: str
    expected: str


def landing_on(tools: Tools, change: Change, commit: str, head: str) -> Landing | None:
    """Return what may be merged while the branch is at `head`; None where it is proven nowhere.

    Raises Refused where what was proven there is not what was signed and met by users.
    """
    if head in (change.base_revision, commit):
        return Landing(commit, change.base_revision)
    if not tools.ledger.find(MADE, change.change_id, {"asset": HEAD}):
        return None
    proof, _ = newest(tools.desk, change.change_id, HEAD, HeadProof)
    if head not in (proof.head, proof.commit):
        return None
    for is_so, says in doubts(tools, change, commit, proof):
        if not is_so:
            raise Refused(
                f"{change.change_id} is not merged on {proof.head[:12]}: {says}.",
                remedy=f"selfdrive show {change.change_id}; call it back, and let it be proposed "
                "on the branch as it is now",
            )
    return Landing(proof.commit, proof.head)


def doubts(
    tools: Tools, change: Change, commit: str, proof: HeadProof
) -> tuple[tuple[bool, str], ...]:
    """Return what must be so of a proof on a later head, each with what is wrong otherwise."""
    repository, report = tools.stores.repository, proof.report
    facts = facts_of(change.change_id, tools.desk)
    moved = frozenset(names_between(repository, change.base_revision, proof.head))
    touched = ", ".join(sorted(moved & deciding_files(facts, tools.desk)))
    parents = repository.shadow.git("log", "-1", "--format=%P", proof.commit, "--").decode().split()
    return (
        (proof.holds, f"its proof there says {report.verdict.value}: {report.reason}"),
        (report.base_revision == proof.head, "it was proven on another commit"),
        (report.sandbox_level == SandboxLevel.FULL.value, "it was not proven in a full sandbox"),
        (report.patch_sha256 == facts.binding.patch, "another patch was proven there"),
        (not touched, f"others changed what the approval rests on: {touched}"),
        (parents == [proof.head], "its commit does not stand on that head alone"),
        (
            patch_between(repository, proof.head, proof.commit)
            == patch_between(repository, change.base_revision, commit),
            "its commit holds another patch than users met",
        ),
    )


def ask(tools: Tools, change: Change, head: str, now: datetime) -> None:
    """Tell the ledger, once for each head, that a proof on it is awaited."""
    if tools.ledger.find(HEAD_MOVED, change.change_id, {"head": head}):
        return
    by = tools.courses.by(change.change_id)
    tools.ledger.append(
        Entry(
            at=now,
            actor=by.who,
            kind=HEAD_MOVED,
            change_id=change.change_id,
            issue_id=change.issue_id,
            body={"head": head, "was": change.base_revision},
            run_id="",
            signature=by.signature,
        )
    )
