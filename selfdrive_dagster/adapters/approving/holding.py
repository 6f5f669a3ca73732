"""Whether an approval holds now: the door that is asked before every step to more users.

It reads the ledger's row, the statement by its digest, verifies the signature again with the
signers of the base and with those of the product's branch by now, and compares what was signed
with what ledger, evidence and git tell now.
"""

from datetime import datetime

import msgspec

from selfdrive_dagster.adapters.approving.carrying import bound_to
from selfdrive_dagster.adapters.approving.facts import (
    Desk,
    Facts,
    facts_of,
    refuse_altered,
    stored,
)
from selfdrive_dagster.adapters.decisions import Decision
from selfdrive_dagster.adapters.signatures import ALLOWED_SIGNERS, principals, verify
from selfdrive_dagster.audit import Link
from selfdrive_dagster.config import Settings
from selfdrive_dagster.config.settings import DRIVING
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.rollout.approval import NAMESPACE, Approval, Given, Statement, check
from selfdrive_dagster.rollout.custody import Custody
from selfdrive_dagster.rollout.lifecycle import ROLLING, Event, State

APPROVED = f"change.{Event.APPROVE.value}"
ONWARD = frozenset(state.value for state in (State.APPROVED, *ROLLING, State.PROMOTED))
"""Where a change may go and keep its approval; a move anywhere else ends it."""


class Approvals:
    """The approvals of one ledger, evidence store and repository."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def holding(self, change_id: str, now: datetime) -> Statement:
        """Return the statement that allows this change now. Raises Refused with the reason."""
        row = self._row(change_id)
        told = row.entry.body.get("digests")
        sha256 = str(told.get("statement", "")) if isinstance(told, dict) else ""
        facts = facts_of(change_id, self._desk)
        statement, _ = self._verified(sha256, row.entry.signature, facts, "approve", now)
        if row.entry.actor != statement.approver:
            raise Refused(f"Row {row.seq} tells of {row.entry.actor}, {statement.approver} signed.")
        return statement

    def examine(self, decision: Decision, now: datetime) -> Approval:
        """Return the approval that a waiting decision is. Raises Refused with the reason."""
        return self._examined(decision, "approve", now)

    def advancing(self, decision: Decision, stage: int, now: datetime) -> Approval:
        """Return the signed step from `stage` on that a decision is. Raises Refused."""
        found = self._examined(decision, "advance_on_weak_evidence", now)
        if found.statement.stage != stage:
            raise Refused(
                f"The signature is for stage {found.statement.stage}, not for stage {stage}.",
                remedy=f"selfdrive advance {decision.change_id}",
            )
        return found

    def _examined(self, decision: Decision, verdict: Given, now: datetime) -> Approval:
        sha256 = str(decision.digests.get("statement", ""))
        facts = facts_of(decision.change_id, self._desk)
        statement, key = self._verified(sha256, decision.signature, facts, verdict, now)
        return Approval(
            statement=statement,
            statement_sha256=sha256,
            signature=decision.signature,
            fingerprint=key,
            decision_id=decision.decision_id,
            binding=facts.binding,
        )

    def _row(self, change_id: str) -> Link:
        """Return the ledger's newest approval of a change, unless what came after ended it."""
        rows = self._desk.ledger.find(APPROVED, change_id)
        if not rows:
            raise Refused(f"Nobody approved {change_id}.", remedy=f"selfdrive approve {change_id}")
        later = [r for r in self._desk.ledger.entries(change_id) if r.seq >= rows[0].seq]
        for row in later:
            refuse_altered(row)
            to = row.entry.body.get("to")
            if row.entry.kind.startswith("change.") and to not in ONWARD:
                raise Refused(
                    f"{change_id} went to {to} after it was approved.",
                    remedy=f"selfdrive approve {change_id}, once it is proposed again",
                )
        return rows[0]

    def _verified(
        self, sha256: str, signature: str, facts: Facts, verdict: Given, now: datetime
    ) -> tuple[Statement, str]:
        """Return a statement and the key's fingerprint, if the signature stands and it holds."""
        statement = stored(self._desk.evidence, sha256, Statement)
        signed = statement.to_sign()
        key = verified_by(signed, signature, statement.approver, facts)
        binding = bound_to(statement, facts, self._desk)
        carried = msgspec.structs.replace(statement, binding=binding)
        judge(carried, facts, key, self._desk.settings, now, verdict)
        return statement, key


def verified_by(message: bytes, signature: str, who: str, facts: Facts) -> str:
    """Return the key by which somebody signed who might at the base and still may.

    Raises Refused where they might not, or may no longer.
    """
    key = verify(message, signature, who, facts.signers, NAMESPACE)
    if facts.signers_now != facts.signers:
        try:
            verify(message, signature, who, facts.signers_now, NAMESPACE)
        except Refused as fault:
            raise revoked(who) from fault
    return key


def revoked(who: str) -> Refused:
    """Return the refusal of somebody whose key was taken out since the base."""
    return Refused(
        f"The key of {who} no longer stands in {ALLOWED_SIGNERS} on the product's branch.",
        remedy="somebody who may still sign approves the change",
    )


def judge(
    statement: Statement,
    facts: Facts,
    fingerprint: str,
    settings: Settings,
    now: datetime,
    verdict: Given | None = None,
) -> None:
    """Raise Refused unless a statement by this key allows the change now.

    Every name that the key goes by counts: nobody approves their own work under another one.
    """
    texts = (facts.signers, facts.signers_now)
    names = {name.casefold() for text in texts for name in principals(fingerprint, text)}
    if not principals(fingerprint, facts.signers_now):
        raise revoked(statement.approver)
    made_it = names & {author.casefold() for author in facts.authors}
    if statement.author != facts.candidate.author:
        told = facts.candidate.author or "the loop"
        raise Refused(f"{statement.author or 'The loop'} was signed as the author, it is {told}.")
    check(
        statement,
        binding=facts.binding,
        signed_by=statement.approver,
        authors=facts.authors | {statement.approver} if made_it else facts.authors,
        now=now,
        verdict=verdict or statement.verdict,
    )
    require_person(statement.custody, fingerprint, settings)


def require_person(custody: Custody, fingerprint: str, settings: Settings) -> None:
    """Refuse a key that proves no person, where Selfdrive drives by itself."""
    driving = settings.autonomy.level in DRIVING and settings.rollout.plan != "demo"
    if driving and not custody.proves_person:
        raise Refused(
            f"Of the key {fingerprint}, {custody.says}; level {settings.autonomy.level} needs one "
            "that does.",
            remedy="sign with a hardware key, or with one behind a passphrase that no agent holds "
            "(ssh-add -d takes it out)",
        )
