"""Make a decision of a person's signature: draw the statement, sign it, verify it, note it.

Everything that would void the signature later is asked before it is given, so that nobody
unlocks a key for nothing.
"""

from datetime import datetime

import msgspec

from selfdrive_dagster.adapters.approving.facts import Desk, Facts
from selfdrive_dagster.adapters.approving.holding import judge, verified_by
from selfdrive_dagster.adapters.approving.keys import Signer
from selfdrive_dagster.adapters.decisions import Decision, Decisions
from selfdrive_dagster.adapters.signatures import sign
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.approval import NAMESPACE, Statement, draw_statement


def approve(
    facts: Facts,
    desk: Desk,
    decisions: Decisions,
    signer: Signer,
    *,
    reason: str,
    typed: str = "",
    now: datetime,
) -> Decision:
    """Sign what `facts` tell and note it, to be carried out by the loop.

    `typed` are the words of what a mitigation invents. Raises BadInput where reason or words do
    not suffice, Refused for a key that may not sign or a signer who made the change.
    """
    statement = draw_statement(
        facts.binding,
        approver=signer.principal,
        reason=reason,
        typed=typed,
        claim=facts.report.claim,
        invented=facts.candidate.invented,
        author=facts.candidate.author,
        custody=signer.custody,
        now=now,
    )
    return note(statement, facts, desk, decisions, signer)


def advance(
    facts: Facts,
    desk: Desk,
    decisions: Decisions,
    signer: Signer,
    *,
    stage: int,
    reason: str,
    now: datetime,
) -> Decision:
    """Sign a step from `stage` to the next on weak evidence, and note it.

    Raises what `approve` raises, and BadInput for a stage that is none.
    """
    if stage < 1:
        raise BadInput(f"{facts.binding.change_id} has met no user: nothing can be advanced.")
    statement = draw_statement(
        facts.binding,
        approver=signer.principal,
        reason=reason,
        typed="",
        claim=facts.report.claim,
        invented=facts.candidate.invented,
        author=facts.candidate.author,
        custody=signer.custody,
        now=now,
        verdict="advance_on_weak_evidence",
        stage=stage,
    )
    return note(statement, facts, desk, decisions, signer)


def note(
    statement: Statement, facts: Facts, desk: Desk, decisions: Decisions, signer: Signer
) -> Decision:
    """Sign a statement, verify the signature as any later reader will, and note the decision."""
    judge(statement, facts, signer.fingerprint, desk.settings, statement.at)
    message = statement.to_sign()
    signature = sign(message, signer.key, NAMESPACE)
    made_by = verified_by(message, signature, signer.principal, facts)
    if made_by != signer.fingerprint:
        raise Refused(f"{made_by} signed, not {signer.fingerprint}.")
    digests = {
        **msgspec.structs.asdict(statement.binding),
        "statement": desk.evidence.put(statement),
        "fingerprint": made_by,
        "custody": statement.custody.value,
    }
    return decisions.record(
        statement.binding.change_id,
        statement.verdict,
        actor=statement.approver,
        reason=statement.reason,
        now=statement.at,
        digests=digests,
        signature=signature,
    )
