"""Close a breaker by a person's signature: drawn, signed, verified, and told to the ledger."""

from datetime import datetime

from sqlalchemy import Engine

from selfdrive_dagster.adapters.approving.facts import Desk, allowed_signers_at
from selfdrive_dagster.adapters.approving.holding import require_person
from selfdrive_dagster.adapters.approving.keys import Signer
from selfdrive_dagster.adapters.changes import Authority
from selfdrive_dagster.adapters.proposals import product_branch
from selfdrive_dagster.adapters.signatures import sign, verify
from selfdrive_dagster.adapters.standing import close_breaker
from selfdrive_dagster.audit import Link
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.rollout.closing import NAMESPACE, Closing
from selfdrive_dagster.rollout.lifecycle import Actor


def signers_now(desk: Desk) -> tuple[str, str]:
    """Return the product's newest commit and who may sign there. Raises Refused for nobody."""
    desk.repository.refresh()
    branch = product_branch(desk.repository, desk.settings.service.branch)
    head = desk.repository.revision(f"heads/{branch}")
    return head, allowed_signers_at(desk.repository, head)


def close(
    engine: Engine, desk: Desk, signer: Signer, service: str, *, reason: str, now: datetime
) -> Link:
    """Sign that a service's breaker is closed, and note it; return the ledger's row.

    Raises BadInput without a reason, Refused for a key that may not sign.
    """
    head, signers = signers_now(desk)
    closing = Closing(
        service=service,
        closer=signer.principal,
        reason=reason.strip(),
        signers_at=head,
        custody=signer.custody,
        at=now,
    )
    require_person(closing.custody, signer.fingerprint, desk.settings)
    message = closing.to_sign()
    signature = sign(message, signer.key, NAMESPACE)
    made_by = verify(message, signature, signer.principal, signers, NAMESPACE)
    if made_by != signer.fingerprint:
        raise Refused(f"{made_by} signed, not {signer.fingerprint}.")
    return close_breaker(
        engine,
        service,
        by=Authority(who=closing.closer, role=Actor.OPERATOR, signature=signature),
        reason=closing.reason,
        digests={"statement": desk.evidence.put(closing), "fingerprint": made_by},
        now=now,
    )
