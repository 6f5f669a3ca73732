"""Write what a repair found, when a user asked for it: a branch, the working tree, or both.

Tells on stderr: stdout is the answer's. Does not belong here: drawing the answer (`show`).
"""

import sys
from typing import TYPE_CHECKING

from selfdrive_dagster.cli.render import clean
from selfdrive_dagster.cli.repair.show import production_warning
from selfdrive_dagster.model import Candidate, Reproducer
from selfdrive_dagster.validation.repair import Repair

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.git import GitRepository


def put_down(repository: "GitRepository", found: Repair, *, apply: bool, branch: str) -> None:
    """Commit the best patch with its reproducer to a branch of its own, or apply it, or both.

    What is asked for is written whole or not at all.
    """
    best, reproducer = found.best, found.reproduction.reproducer
    if best is None or reproducer is None:
        tell("No patch held, so nothing was written.")
        return
    if apply:
        repository.check_worktree(best.patch)
    if branch:
        commit(repository, found, best, reproducer, branch)
    if apply:
        repository.apply_to_worktree(best.patch)
        tell(f"Applied to {repository.path}: {best.path}")
    if warning := production_warning(reproducer):
        tell(f"Warning: {warning}")


def commit(
    repository: "GitRepository", found: Repair, best: Candidate, made: Reproducer, branch: str
) -> None:
    """Commit patch and test on top of the revision that was repaired."""
    from selfdrive_dagster.adapters.proposals import overlay_of

    base = found.diagnosis.revision
    overlay = overlay_of(repository, base, best, made, {})
    words = message_of(found, best)
    sha = repository.commit_branch(branch, base=base, overlay=overlay, message=words)
    tell(f"Committed {sha[:12]} to {branch}")


def message_of(found: Repair, best: Candidate) -> str:
    """Return the commit's message: a subject of names alone, then verdict and claim."""
    from selfdrive_dagster.rollout import proposal
    from selfdrive_dagster.rollout.markdown import wrapped

    report = next((r for r in found.reports if r.candidate_id == best.id), None)
    form = proposal.form_of(report)
    what = proposal.exception_of(found.diagnosis)
    subject = proposal.subject_of(form, what, proposal.function_of(found.diagnosis, best))
    return f"{subject}\n\n{wrapped(proposal.claim_sentence(form, report, best))}"


def tell(sentence: str) -> None:
    """Print a sentence beside the answer."""
    print(clean(sentence), file=sys.stderr)
