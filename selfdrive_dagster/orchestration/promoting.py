"""Before a promotion: the patch that users met, proven on the branch as it is by now."""

from datetime import UTC, datetime

from selfdrive_dagster.adapters.proposals import commit_on
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.model import Reproduction
from selfdrive_dagster.orchestration.stages import Bench
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.validation import Proof
from selfdrive_dagster.validation.gate import prove_one
from selfdrive_dagster.validation.head import HeadProof


def proven_on_head(
    bench: Bench, proposal: Proposal, reproduction: Reproduction, proof: Proof
) -> HeadProof:
    """Judge the signed candidate on the head, and write the commit that may be merged then."""
    best, made = proof.best, reproduction.reproducer
    signed = next((one for one in proof.reports if best and one.candidate_id == best.id), None)
    if best is None or made is None or signed is None:
        raise Refused(f"Nothing was proven of {bench.change_id}: nothing can be promoted.")
    workshop, head = bench.workshop, bench.workshop.head()
    product, _ = workshop.product(head)
    base = workshop.base(head, bench.say)
    report = prove_one(best, made, base, product, workshop.sandbox, calls=workshop.calls())
    commit = commit_on(
        workshop.repository(),
        head,
        candidate=best,
        reproducer=made,
        page=proposal.page,
        page_path=proposal.page_path,
        message=proposal.title,
        when=datetime.now(UTC),
    )
    return HeadProof(
        change_id=bench.change_id, head=head, commit=commit, signed=signed, report=report
    )
