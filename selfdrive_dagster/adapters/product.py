"""Open a product: one revision's files in a fresh folder, and what is known of their past."""

from pathlib import Path

from selfdrive_dagster.adapters.folder import NoHistory, copy_folder, folder_revision
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.config import Settings
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import History, Product, Progress, silent


def open_product(
    repo: Path,
    settings: Settings,
    into: Path,
    revision: str | None = None,
    progress: Progress = silent,
) -> tuple[Product, History]:
    """Export a revision (default: HEAD) of `repo` into an empty folder and describe it.

    What is left out of the copy is told to `progress`. Without git the folder itself is
    copied and its history is empty. Raises BadInput when the revision or the source folders
    are not there.
    """
    repository = GitRepository.find(repo)
    history: History
    if repository is None:
        if revision:
            raise BadInput(f"{repo} has no git history, so no revision {revision!r}.")
        exported = copy_folder(repo, into)
        sha, history = folder_revision(into), NoHistory()
    else:
        sha = repository.revision(revision or "HEAD")
        exported, history = repository.export(sha, into), repository.history(sha)
    for sentence in exported.left_out:
        progress(sentence)
    return describe(settings, into, sha), history


def describe(settings: Settings, root: Path, revision: str) -> Product:
    """Return the record of an exported tree. Raises BadInput when it lacks the source."""
    service = settings.service
    absent = [source for source in service.source if not (root / source).exists()]
    if absent or not service.source:
        raise BadInput(
            f"Revision {revision[:12]} has no {', '.join(absent)}."
            if absent
            else "No folder with the product's code is known.",
            remedy="commit the code, or name its folder in [service] source of selfdrive.toml",
        )
    return Product(
        name=service.name,
        root=str(root),
        python=service.python,
        revision=revision,
        source=service.source,
        tests=service.test_arguments(),
        protected=settings.autonomy.protected,
        max_lines=settings.autonomy.max_lines,
    )
