"""Whether what was done by signature was signed: verified anew, with the signers of its base.

An approval that expired later still was one; so nothing is asked here of the time.
"""

from collections.abc import Iterable, Iterator

from selfdrive_dagster.adapters.approving import allowed_signers_at
from selfdrive_dagster.adapters.approving.amending import EDITED, verified
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.signatures import verify
from selfdrive_dagster.adapters.standing import CLOSED
from selfdrive_dagster.audit import Case, Link
from selfdrive_dagster.errors import Refused, SelfdriveError
from selfdrive_dagster.rollout.approval import NAMESPACE, Statement
from selfdrive_dagster.rollout.closing import NAMESPACE as CLOSING
from selfdrive_dagster.rollout.closing import Closing
from selfdrive_dagster.rollout.lifecycle import Event

GIVEN_FOR = {
    f"change.{Event.APPROVE.value}": "approve",
    f"change.{Event.ADVANCE.value}": "advance_on_weak_evidence",
}
"""Moves that a person signs, and what the signature must have been given for."""


def of_signatures(case: Case, evidence: Evidence, repository: GitRepository) -> Iterator[str]:
    """Yield rows of a change whose signature does not stand, or that act under none."""
    approvals: set[str] = set()
    for row in case.rows:
        entry = row.entry
        if entry.kind in GIVEN_FOR:
            try:
                verify_row(row, case.change_id, evidence, repository)
            except SelfdriveError as fault:
                yield f"row {row.seq}, {entry.kind}: {fault.message}"
            if GIVEN_FOR[entry.kind] == "approve":
                approvals.add(entry.signature)
        elif entry.kind == EDITED:
            signed = statement_of(row), entry.signature, entry.actor, case.change_id
            try:
                verified(*signed, evidence, repository)
            except SelfdriveError as fault:
                yield f"row {row.seq}, {entry.kind}: {fault.message}"
        elif entry.signature and not entry.run_id and entry.signature not in approvals:
            yield f"row {row.seq}, {entry.kind}, acts under a signature that approved nothing"


def verify_row(row: Link, change_id: str, evidence: Evidence, repository: GitRepository) -> None:
    """Raise SelfdriveError unless the row's signature stands over its statement."""
    entry = row.entry
    statement = evidence.get(statement_of(row), Statement)
    about = statement.verdict, statement.binding.change_id
    if about != (GIVEN_FOR[entry.kind], change_id):
        raise Refused(f"The signature was given to {about[0]} {about[1]}.")
    if statement.approver != entry.actor:
        raise Refused(f"{statement.approver} signed, {entry.actor} is named.")
    signers = allowed_signers_at(repository, statement.binding.base)
    verify(statement.to_sign(), entry.signature, statement.approver, signers, NAMESPACE)


def of_closings(
    rows: Iterable[Link], evidence: Evidence, repository: GitRepository
) -> Iterator[str]:
    """Yield where a breaker was closed without a signature that stands."""
    for row in rows:
        if row.entry.kind != CLOSED:
            continue
        try:
            closing = evidence.get(statement_of(row), Closing)
            if (closing.service, closing.closer) != (row.entry.body["service"], row.entry.actor):
                raise Refused(f"{closing.closer} signed for {closing.service}.")
            signers = allowed_signers_at(repository, closing.signers_at)
            verify(closing.to_sign(), row.entry.signature, closing.closer, signers, CLOSING)
        except SelfdriveError as fault:
            yield f"row {row.seq}, {CLOSED}: {fault.message}"


def statement_of(row: Link) -> str:
    """Return the digest of what was signed, "" when the row names none."""
    digests = row.entry.body.get("digests")
    return str(digests.get("statement", "")) if isinstance(digests, dict) else ""
