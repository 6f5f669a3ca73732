"""Amend a change: a person's patch, signed by its author, and found again when it is proven."""

from datetime import datetime

from selfdrive_dagster.adapters.approving.facts import LOOP, Desk, allowed_signers_at
from selfdrive_dagster.adapters.approving.keys import Signer
from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.decisions import Decision, Decisions
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.proposals import patched, reader
from selfdrive_dagster.adapters.signatures import sign, verify
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.patches.proposers import HandedIn, Patch
from selfdrive_dagster.rollout.amendment import NAMESPACE, Amendment
from selfdrive_dagster.rollout.lifecycle import Event

AMEND = "amend"
EDITED = f"change.{Event.PATCH_EDITED.value}"


def amend(
    change: Change,
    desk: Desk,
    decisions: Decisions,
    signer: Signer,
    *,
    patch: str,
    replaces: str,
    reason: str,
    now: datetime,
) -> Decision:
    """Sign a patch for a change and note it, to be carried out by the loop.

    Raises BadInput for a patch that does not fit the change's base, or without a reason.
    """
    amendment = Amendment(
        change_id=change.change_id,
        author=signer.principal,
        reason=reason.strip(),
        patch=patch,
        replaces=replaces,
        signers_at=change.base_revision,
        custody=signer.custody,
        at=now,
    )
    diff = patch[f"\n{patch}".index("\n--- ") :]
    patched(reader(desk.repository, change.base_revision), diff)
    signature = sign(amendment.to_sign(), signer.key, NAMESPACE)
    signers = allowed_signers_at(desk.repository, change.base_revision)
    made_by = verify(amendment.to_sign(), signature, amendment.author, signers, NAMESPACE)
    digests = {
        "statement": desk.evidence.put(amendment),
        "fingerprint": made_by,
        "base": change.base_revision,
    }
    return decisions.record(
        change.change_id,
        AMEND,
        actor=amendment.author,
        reason=amendment.reason,
        now=now,
        digests=digests,
        signature=signature,
    )


def examine(decision: Decision, evidence: Evidence, repository: GitRepository) -> Amendment:
    """Return the amendment that a decision is. Raises SelfdriveError where it is not signed so."""
    return verified(
        str(decision.digests.get("statement", "")),
        decision.signature,
        decision.actor,
        decision.change_id,
        evidence,
        repository,
    )


def verified(
    sha256: str,
    signature: str,
    who: str,
    change_id: str,
    evidence: Evidence,
    repository: GitRepository,
) -> Amendment:
    """Return an amendment of a change by somebody, its signature verified. Raises Refused."""
    found = evidence.get(sha256, Amendment)
    if (found.change_id, found.author) != (change_id, who) or who.casefold() == LOOP:
        raise Refused(f"{found.author} amended {found.change_id}, not {who} {change_id}.")
    signers = allowed_signers_at(repository, found.signers_at)
    verify(found.to_sign(), signature, found.author, signers, NAMESPACE)
    return found


def amended(
    change_id: str, ledger: Ledger, evidence: Evidence, repository: GitRepository
) -> HandedIn | None:
    """Return who drafts an amended change: its newest amendment alone. None for an unedited one.

    Raises SelfdriveError when that amendment cannot be had as it was signed.
    """
    rows = ledger.find(EDITED, change_id)
    if not rows:
        return None
    entry = rows[0].entry
    digests = entry.body.get("digests") or {}
    found = verified(
        str(digests.get("statement", "")),
        entry.signature,
        entry.actor,
        change_id,
        evidence,
        repository,
    )
    name = f"amended by {found.author}"
    return HandedIn([Patch(name=name, text=found.patch, signed_by=found.author)])
