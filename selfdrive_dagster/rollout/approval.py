"""An approval: what a person signs, and when it still holds.

The statement names everything that was decided on by digest, so a signature over it is worth
nothing for any other patch, base, report or policy. Belongs here: the statement, who may sign
it, and what voids it. Does not belong: keys and signatures themselves (`adapters.signatures`).
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Claim, canonical
from selfdrive_dagster.rollout.custody import Custody

NAMESPACE = "selfdrive-approval"
"""The purpose in the SSH signature: one made for anything else does not verify here."""

Given = Literal["approve", "advance_on_weak_evidence"]
"""What a signature can be given for."""

LIFETIMES: dict[Given, timedelta] = {
    "approve": timedelta(days=7),
    "advance_on_weak_evidence": timedelta(hours=24),
}
"""How long a statement holds; a step on weak evidence is for now alone."""

SHORTEST_REASON = 8


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that an approval was given under; its digest is what a statement is bound to.

    `rules` is the version of the gate's rules, `signers` the sha256 of who may sign at the base.
    """

    rules: str
    protected: tuple[str, ...]
    max_lines: int
    level: str
    plan: str
    signers: str


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """What an approval is bound to; any change of one voids it.

    `base` is a commit, `tree` the git tree of base and patch together, the rest are sha256.
    """

    change_id: str
    patch: str
    base: str
    tree: str
    report: str
    policy: str

    def differing(self, other: "Binding") -> tuple[str, ...]:
        """Return the names of what is not equal."""
        return tuple(
            name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)
        )


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed, as canonical JSON.

    `invented` repeats, in the signer's own typing, what a mitigation makes up. `approver` is the
    principal of the allowed signers that the key must belong to. `author` is who made the patch
    (`Candidate.author`). `custody` is where the private key lay, as the account which signed saw
    it. `stage` is the one that an advance leads on from, 0 for an approval.
    """

    verdict: Given = "approve"
    binding: Binding
    approver: str
    author: str = ""
    reason: str
    invented: str = ""
    custody: Custody
    stage: int = 0
    at: datetime
    expires: datetime

    def to_sign(self) -> bytes:
        """Return the very bytes that the signature covers."""
        return canonical(self)


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A statement with the signature that verified over it, and the key that made it.

    `statement_sha256` is the digest of the very bytes that were signed: the statement's name as
    evidence. `binding` is what it was found to hold for: the statement's own, or today's where it
    was carried over to a base that moved.
    """

    statement: Statement
    statement_sha256: str
    signature: str
    fingerprint: str
    decision_id: int
    binding: Binding


def draw_statement(
    binding: Binding,
    *,
    approver: str,
    reason: str,
    typed: str,
    claim: Claim | None,
    invented: str,
    author: str,
    custody: Custody,
    now: datetime,
    verdict: Given = "approve",
    stage: int = 0,
) -> Statement:
    """Write a statement. Raises BadInput where the reason or the typed words do not suffice.

    `invented` is what the report says a mitigation makes up; the approver types it.
    """
    if len(reason.strip()) < SHORTEST_REASON:
        raise BadInput(
            "An approval needs a reason that somebody can read later.",
            remedy='--reason "what convinced you"',
        )
    is_typed = verdict != "approve" or claim is Claim.REPAIR or _same(typed, invented)
    if not is_typed:
        raise BadInput(
            f"This is a mitigation: it {invented or 'invents behaviour'}.",
            remedy=f'type that to approve it: --invented "{invented}"',
        )
    return Statement(
        verdict=verdict,
        binding=binding,
        approver=approver,
        author=author,
        reason=reason.strip(),
        invented=typed.strip(),
        custody=custody,
        stage=stage,
        at=now,
        expires=now + LIFETIMES[verdict],
    )


def _same(typed: str, invented: str) -> bool:
    return bool(invented) and typed.split() == invented.split()


def check(
    statement: Statement,
    *,
    binding: Binding,
    signed_by: str,
    authors: frozenset[str],
    now: datetime,
    verdict: Given = "approve",
) -> None:
    """Raise Refused unless a verified statement allows this change now.

    `signed_by` is the principal whose key verified. `authors` made the change, in any case of
    letters: an approver who is one of them approves nothing. `verdict` is what is asked for.
    """
    if statement.verdict != verdict:
        raise Refused(f"The signature was given to {statement.verdict}, not to {verdict}.")
    if differing := statement.binding.differing(binding):
        raise Refused(
            f"The approval is for another {', '.join(differing)}.",
            remedy="look at the change as it is now, and approve that",
        )
    if signed_by != statement.approver:
        raise Refused(f"{signed_by} signed for {statement.approver}.")
    if signed_by.casefold() in {author.casefold() for author in authors}:
        raise Refused(f"{signed_by} made this change and cannot approve it.")
    if not statement.at <= now + timedelta(minutes=5):
        raise Refused(f"The approval was made in the future, at {statement.at.isoformat()}.")
    if now >= statement.expires:
        raise Refused(
            f"The approval expired at {statement.expires.isoformat()}.",
            remedy=f"selfdrive approve {binding.change_id}",
        )


def carries_over(
    old: Binding, new: Binding, *, same_patch: bool, touched: frozenset[str], moved: frozenset[str]
) -> bool:
    """Say whether an approval may be carried to a base that moved.

    Only if the normalised patch is equal, none of the `touched` files (patched or covering it)
    is among those that `moved`, and verdict and policy are the same.
    """
    return (
        same_patch
        and not touched & moved
        and (old.change_id, old.policy) == (new.change_id, new.policy)
    )
