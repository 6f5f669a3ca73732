"""Commit an improvement to a branch of its own, for a person to decide on."""

import sys
from typing import TYPE_CHECKING

from selfdrive_dagster.cli.improve.show import message_of
from selfdrive_dagster.cli.render import clean
from selfdrive_dagster.model import Candidate, Reproducer, Way

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.git import GitRepository
    from selfdrive_dagster.validation.improve import AskedImprovement, Improvement


def commit(repository: "GitRepository", found: "Improvement", branch: str, revision: str) -> None:
    """Commit the built-in engine's patch on top of the revision that was improved."""
    if found.best is None:
        _tell("No change held, so nothing was written.")
        return
    _commit(repository, found.best, None, message_of(found, found.best), branch, revision)


def commit_asked(
    repository: "GitRepository", found: "AskedImprovement", branch: str, revision: str
) -> None:
    """Commit a model's patch with its test."""
    from selfdrive_dagster.rollout.markdown import wrapped
    from selfdrive_dagster.validation.improve.proving import candidate_of_draft

    best = found.best
    if best is None:
        _tell("No draft held, so nothing was written.")
        return
    candidate = candidate_of_draft(best.draft, 1)
    test = Reproducer(
        way=Way.WRITTEN_BY_MODEL,
        path=best.test_path,
        source=best.test,
        node_ids=(),
        exception_type="",
        function="",
        target_path=best.draft.path,
    )
    proven = next(one for one in found.tried if one.asked == best)
    body = [f"Drafted by {best.draft.generator}; {proven.report.verdict.value}.",
            f"Expected: {best.effect.says}."]  # fmt: skip
    words = f"Improve {best.draft.function or best.draft.path}\n\n" + "\n\n".join(
        wrapped(part) for part in body
    )
    _commit(repository, candidate, test, words, branch, revision)


def _commit(
    repository: "GitRepository",
    candidate: Candidate,
    test: Reproducer | None,
    words: str,
    branch: str,
    revision: str,
) -> None:
    from selfdrive_dagster.adapters.proposals import overlay_of

    overlay = overlay_of(repository, revision, candidate, test, {})
    sha = repository.commit_branch(branch, base=revision, overlay=overlay, message=words)
    _tell(f"Committed {sha[:12]} to {branch}: a person decides on it.")


def _tell(sentence: str) -> None:
    print(clean(sentence), file=sys.stderr)
