"""What an approval is about, as ledger, evidence and git tell it now.

The ledger names the newest proposal and report by digest, the evidence is read by that digest,
and git tells what is on the branch: its tree must be the one that base, patch, test and page
make. Whatever does not fit is refused here, before anybody is asked to sign it.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import msgspec

from selfdrive_dagster.adapters.evidence import Evidence, EvidenceAltered, EvidenceNotRecorded
from selfdrive_dagster.adapters.git import GitRepository, branches
from selfdrive_dagster.adapters.git.repository import SELFDRIVE
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.adapters.outside import fork_of, names_between
from selfdrive_dagster.adapters.proposals import known_head, overlay_of, reader, released_head
from selfdrive_dagster.adapters.signatures import ALLOWED_SIGNERS, MAKE_SIGNERS
from selfdrive_dagster.audit import Link
from selfdrive_dagster.audit.ledger import is_sealed
from selfdrive_dagster.config import Settings
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Candidate, Report, Reproduction, SandboxLevel, Verdict, digest
from selfdrive_dagster.patches.authors import names_of
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.approval import Binding, Policy
from selfdrive_dagster.rollout.canary.plan import PLANS
from selfdrive_dagster.rollout.lifecycle import Event
from selfdrive_dagster.validation import Proof
from selfdrive_dagster.validation.policy import POLICY

PROPOSAL, REPORT, REPRODUCER = "rollout/proposal", "validation/report", "patches/reproducer"
HELD = (Verdict.CERTIFIED, Verdict.CONTAINED)
LOOP = "selfdrive"

T = TypeVar("T")


class Desk(NamedTuple):
    """Where an approval's facts are read."""

    ledger: Ledger
    evidence: Evidence
    repository: GitRepository
    settings: Settings


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to decide on.

    `binding` is what is signed, `signers` the text of who may sign it and `signers_now` that of
    the product's branch as it is by now: a key must stand in both. `authors` may not sign, since
    they made it. `diff` is what git says the branch changes, without its page.
    """

    binding: Binding
    signers: str
    signers_now: str
    authors: frozenset[str]
    proposal: Proposal
    report: Report
    candidate: Candidate
    diff: str


def facts_of(change_id: str, desk: Desk) -> Facts:
    """Gather what a change's approval is about. Raises Refused where something does not fit."""
    desk.repository.refresh()
    proposal, _ = newest(desk, change_id, PROPOSAL, Proposal)
    proof, proof_sha256 = newest(desk, change_id, REPORT, Proof)
    made, _ = newest(desk, change_id, REPRODUCER, Reproduction)
    candidate, report = proven(proof)
    refuse_first(doubts(proposal, proof_sha256, candidate, report, made), change_id)
    tip = tip_of(desk.repository, proposal)
    base, tree = standing(desk.repository, proposal, tip)
    refuse_foreign(base, desk)
    if tree != tree_of(desk.repository, base, proposal, candidate, made):
        raise Refused(
            f"{proposal.branch} holds something else than what was proven.",
            remedy="let the change be proposed again",
        )
    signers = allowed_signers_at(desk.repository, base)
    binding = Binding(
        change_id=change_id,
        patch=digest(candidate.patch.encode()),
        base=base,
        tree=tree,
        report=proof_sha256,
        policy=digest(policy_of(desk.settings, signers)),
    )
    return Facts(
        binding=binding,
        signers=signers,
        signers_now=present_signers(desk),
        authors=authors_of(desk, change_id, base, tip) | names_of(candidate.author),
        proposal=proposal,
        report=report,
        candidate=candidate,
        diff=diff_of(desk.repository, proposal, base, tip),
    )


def binding_of(change_id: str, desk: Desk) -> Binding:
    """Return what an approval of this change is bound to now. Raises Refused."""
    return facts_of(change_id, desk).binding


def allowed_signers_at(repository: GitRepository, base: str) -> str:
    """Return who may approve, as the base revision says it: never the working tree.

    Raises Refused when it says nothing.
    """
    try:
        return reader(repository, base)(ALLOWED_SIGNERS)
    except FileNotFoundError:
        raise Refused(
            f"Nobody may approve: {base[:12]} has no {ALLOWED_SIGNERS}.",
            remedy=f"{MAKE_SIGNERS}; changes that are opened after that can be approved",
        ) from None


def present_signers(desk: Desk) -> str:
    """Return who may approve on the product's branch as it is by now. Raises Refused for nobody."""
    head = known_head(desk.repository, desk.settings.service)
    return allowed_signers_at(desk.repository, head)


def newest(desk: Desk, change_id: str, asset: str, kind: type[T]) -> tuple[T, str]:
    """Return the newest record of an asset and its digest, as ledger and evidence have it."""
    rows = desk.ledger.find(MADE, change_id, {"asset": asset})
    if not rows:
        raise Refused(f"{change_id} has no {asset}.", remedy=f"selfdrive show {change_id}")
    refuse_altered(rows[0])
    sha256 = str(rows[0].entry.body.get("sha256", ""))
    return stored(desk.evidence, sha256, kind), sha256


def stored(evidence: Evidence, sha256: str, kind: type[T]) -> T:
    """Return a record by its digest. What is lost, altered or of another kind is refused."""
    try:
        return evidence.get(sha256, kind)
    except (EvidenceNotRecorded, EvidenceAltered, BadInput) as fault:
        raise Refused(fault.message, remedy=fault.remedy) from fault


def refuse_altered(row: Link) -> None:
    """Refuse a ledger row whose content does not fit its seal."""
    if not is_sealed(row):
        raise Refused(
            f"Row {row.seq} of the ledger was altered.", remedy="selfdrive audit --verify"
        )


def proven(proof: Proof) -> tuple[Candidate, Report]:
    """Return the candidate that held, and its report. Raises Refused when none did."""
    best = proof.best
    report = next((one for one in proof.reports if best and one.candidate_id == best.id), None)
    if best is None or report is None or report.verdict not in HELD:
        raise Refused(
            "Nothing was proven of this change: there is no patch to approve.",
            remedy="a person mends it; refuse the change with selfdrive reject",
        )
    return best, report


Doubt = tuple[bool, str]


def doubts(
    proposal: Proposal,
    proof_sha256: str,
    candidate: Candidate,
    report: Report,
    made: Reproduction,
) -> Iterator[Doubt]:
    """Yield what must be so between the records, and what is wrong when it is not."""
    patch = digest(candidate.patch.encode())
    full, base = SandboxLevel.FULL.value, proposal.base_revision
    yield proposal.report_sha256 == proof_sha256, "was proposed with another report"
    yield proposal.patch == candidate.patch, "was proposed with another patch than was proven"
    yield (proposal.patch_sha256 == patch == report.patch_sha256), "was proven for another patch"
    yield report.base_revision == base, "was proven on another base"
    yield report.reproducer_sha256 == digest(made.reproducer), "was proven by another test"
    yield report.sandbox_level == full, f"was proven in a sandbox of level {report.sandbox_level}"


def refuse_first(found: Iterator[Doubt], change_id: str) -> None:
    """Refuse a change for the first thing that is wrong with it."""
    wrong = next((says for is_so, says in found if not is_so), None)
    if wrong is not None:
        raise Refused(f"{change_id} {wrong}.", remedy="let the change be proposed again")


def tip_of(repository: GitRepository, proposal: Proposal) -> str:
    """Return the commit a change's branch is at. Refuses one that was moved or deleted."""
    tip = repository.lookup(f"refs/heads/{proposal.branch}")
    if tip != proposal.commit:
        where = f"is at {tip[:12]}" if tip else "is gone"
        raise Refused(
            f"{proposal.branch} {where}; what was proven is {proposal.commit[:12]}.",
            remedy=f"git branch -f {proposal.branch} {proposal.commit}",
        )
    return tip


def standing(repository: GitRepository, proposal: Proposal, tip: str) -> tuple[str, str]:
    """Return the base that a proposal's commit stands on, and its tree."""
    told = repository.shadow.git("log", "-1", "--format=%T%n%P", tip, "--").decode().split()
    if told[1:] != [proposal.base_revision]:
        raise Refused(
            f"{proposal.branch} does not stand on {proposal.base_revision[:12]} alone.",
            remedy="let the change be proposed again",
        )
    return proposal.base_revision, told[0]


def refuse_foreign(base: str, desk: Desk) -> None:
    """Refuse a base that is no part of the product's branch: nobody let its signers in."""
    head = desk.repository.revision(desk.settings.service.branch or "HEAD")
    if fork_of(desk.repository, base, head) == base:
        return
    head = released_head(desk.repository, desk.settings.service)  # where the team looks
    if fork_of(desk.repository, base, head) != base:
        raise Refused(
            f"The base {base[:12]} is no part of the product's branch, which is at {head[:12]}.",
            remedy="name the released branch in [service] branch; a change that stands elsewhere "
            "has to be proposed again",
        )


def tree_of(
    repository: GitRepository,
    base: str,
    proposal: Proposal,
    candidate: Candidate,
    made: Reproduction,
) -> str:
    """Return the tree that base, patch, test and page make together, made again."""
    page = {proposal.page_path: proposal.page}
    overlay = overlay_of(repository, base, candidate, made.reproducer, dict(page))
    return branches.write_tree(repository.shadow, base, overlay)


def diff_of(repository: GitRepository, proposal: Proposal, base: str, tip: str) -> str:
    """Return what git says a branch changes, the page left out: it is about this diff."""
    page = f"{repository.shadow.place.prefix}{proposal.page_path}"
    names = [name for name in names_between(repository, base, tip) if name != page]
    told = repository.shadow.git("diff-tree", "-p", "-r", base, tip, "--", *names)
    return told.decode(errors="replace")


def policy_of(settings: Settings, signers: str) -> Policy:
    """Return the rules that hold now."""
    return Policy(
        rules=POLICY,
        protected=settings.autonomy.protected,
        max_lines=settings.autonomy.max_lines,
        level=settings.autonomy.level,
        plan=digest(PLANS[settings.rollout.plan]),
        signers=digest(signers.encode()),
    )


def authors_of(desk: Desk, change_id: str, base: str, tip: str) -> frozenset[str]:
    """Return who made a change: the loop, whoever wrote its commits, whoever amended it."""
    told = desk.repository.shadow.git("log", "--format=%ae%n%ce", f"{base}..{tip}", "--")
    amended = desk.ledger.find(f"change.{Event.PATCH_EDITED.value}", change_id, limit=1_000)
    people = (row.entry.actor for row in amended)
    address = SELFDRIVE.partition("<")[2].strip(">")
    return frozenset({LOOP, address, *told.decode(errors="replace").split(), *people})
