"""Put a proposal before people: one commit on a branch of its own, pushed where the team looks.

The commit holds the patch, the reproducer as a test and the page. It is written as an object
first, pushed second, and only then does the local branch appear: a push that fails leaves
nothing behind. A branch that anybody else has moved is never overwritten. Does not belong
here: what the page says (`rollout`), noticing merges (`outside`).
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from selfdrive_dagster.adapters.git import GitFailed, GitRepository, branches, remotes
from selfdrive_dagster.adapters.git.command import without_credentials
from selfdrive_dagster.adapters.git.landing import head_of
from selfdrive_dagster.adapters.git.repository import SELFDRIVE
from selfdrive_dagster.config.settings import Service
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Candidate, Reproducer
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.rollout.markdown import commit_message

HERE = (".", "none")
"""Values of `[service] repository` that keep branches in the product's own repository."""

DEFAULT_REMOTE = "origin"

Overlay = dict[str, str | None]


class Proposed(NamedTuple):
    """What was written; `pushed_to` is "" when the branch stays here."""

    commit: str
    pushed_to: str


def remote_of(repository: GitRepository, setting: str) -> str | None:
    """Return the remote that `[service] repository` means, None when branches stay here.

    Unset, it is `origin` if there is one. Raises BadInput for a remote that is not there,
    Refused for one that this machine must not be led to.
    """
    if setting in HERE:
        return None
    try:
        remotes.remote_url(repository.shadow, setting or DEFAULT_REMOTE)
    except BadInput:
        if setting:
            raise
        return None
    return setting or DEFAULT_REMOTE


def shown_remote(remote: str | None) -> str:
    """Return a remote as people may read it: without credentials, "" for none."""
    return without_credentials(remote or "")


def product_branch(repository: GitRepository, setting: str) -> str:
    """Return the branch that proposals are merged into. Raises BadInput when none is known."""
    branch = setting or repository.default_branch()
    if not branch:
        raise BadInput(
            f"Nobody knows which branch of {repository.path} is released.",
            remedy="set [service] branch in selfdrive.toml",
        )
    return branch


def released_head(repository: GitRepository, service: Service) -> str:
    """Return the commit that the product's branch is at, where the team looks."""
    remote = remote_of(repository, service.repository)
    return head_of(repository, remote, product_branch(repository, service.branch))


def known_head(repository: GitRepository, service: Service) -> str:
    """Return the newest commit of the product's branch that was seen where the team looks.

    The remote is asked only where it never was: a lease must not hang on a forge.
    """
    remote = remote_of(repository, service.repository)
    branch = product_branch(repository, service.branch)
    seen = repository.lookup(remotes.fetched_ref(branch)) if remote else None
    return seen or head_of(repository, remote, branch)


def propose(
    repository: GitRepository,
    *,
    remote: str | None,
    branch: str,
    base: str,
    candidate: Candidate | None,
    reproducer: Reproducer | None,
    page: str,
    page_path: str,
    message: str,
    when: datetime,
) -> Proposed:
    """Write a proposal's branch on top of `base` and push it if `remote` names one.

    Without a candidate only the page and the test are on it. Neither index nor working tree
    changes. Doing it again with the same content is the same commit, whatever `when` says.
    Raises BadInput when the patch does not fit, Refused when somebody else moved the branch,
    SelfdriveError when the remote cannot be reached; then no branch has moved.
    """
    repository.refresh()
    shadow = repository.shadow
    ref = branches.branch_ref(shadow, branch)
    parent = repository.revision(base)
    overlay = overlay_of(repository, parent, candidate, reproducer, {page_path: page})
    tree = branches.write_tree(shadow, parent, overlay)
    words = commit_message(message)
    here = repository.lookup(ref)
    there = remotes.tip(shadow, remote, branch) if remote else None
    same = (sha for sha in (there, here) if sha and says(repository, sha) == (tree, parent, words))
    commit = next(same, None) or write_commit(repository, tree, parent, words, when)
    refuse_others_work(repository, branch, here, commit, "this repository")
    refuse_others_work(repository, branch, there, commit, shown_remote(remote))
    if remote and there != commit:
        remotes.push(shadow, remote, branch, commit, there)
    if here != commit:
        branches.move_ref(shadow, ref, commit, here)
    return Proposed(commit=commit, pushed_to=shown_remote(remote))


def commit_on(
    repository: GitRepository,
    head: str,
    *,
    candidate: Candidate,
    reproducer: Reproducer | None,
    page: str,
    page_path: str,
    message: str,
    when: datetime,
) -> str:
    """Write a proposal's commit on another head, as an object that no branch names yet.

    Raises BadInput when the patch does not fit there, Refused when a file is in the way.
    """
    repository.refresh()
    parent = repository.revision(head)
    overlay = overlay_of(repository, parent, candidate, reproducer, {page_path: page})
    tree = branches.write_tree(repository.shadow, parent, overlay)
    return write_commit(repository, tree, parent, commit_message(message), when)


def overlay_of(
    repository: GitRepository,
    base: str,
    candidate: Candidate | None,
    reproducer: Reproducer | None,
    pages: Overlay,
) -> Overlay:
    """Return every file that the commit changes. Raises Refused where one is in the way."""
    read = reader(repository, base)
    overlay = patched(read, candidate.patch) if candidate else {}
    added: Overlay = dict(pages)
    if reproducer is not None and reproducer.source is not None:
        added[reproducer.path] = reproducer.source
    for path, text in added.items():
        try:
            is_taken = path in overlay or read(path) != text
        except OSError:  # what `read` raises for a file that is not there
            is_taken = False
        if is_taken:
            raise Refused(
                f"The proposal would overwrite {path}, which is there already.",
                remedy="look at that file; remove it from the product if it is a leftover",
            )
    return {**overlay, **added}


def reader(repository: GitRepository, revision: str) -> Callable[[str], str]:
    """Return what reads the product's files at a revision, line ends as they are."""

    def read(path: str) -> str:
        name = f"{revision}:{repository.shadow.place.prefix}{path}"
        try:
            return repository.shadow.git("cat-file", "blob", name).decode()
        except GitFailed as fault:
            raise FileNotFoundError(path) from fault
        except UnicodeDecodeError as fault:
            raise BadInput(
                f"{path} is not UTF-8, so no patch of it can be written.",
                remedy=f"save {path} as UTF-8, or apply the patch by hand",
            ) from fault

    return read


def patched(read: Callable[[str], str], patch: str) -> Overlay:
    """Apply a patch. Validation reads `\\r\\n` as `\\n`; such a file keeps its line ends."""
    windows: set[str] = set()

    def as_validated(path: str) -> str:
        text = read(path)
        if "\r" not in patch and "\r\n" in text and text.count("\r\n") == text.count("\n"):
            windows.add(path)
            return text.replace("\r\n", "\n")
        return text

    overlay = apply_patch(as_validated, patch)
    return {
        path: text.replace("\n", "\r\n") if text is not None and path in windows else text
        for path, text in overlay.items()
    }


def write_commit(
    repository: GitRepository, tree: str, parent: str, message: str, when: datetime
) -> str:
    """Write a commit of Selfdrive's: equal arguments give an equal sha."""
    name, _, email = SELFDRIVE.partition(" ")
    date = f"{int(when.timestamp())} +0000"
    people = {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email.strip("<>"),
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_DATE": date,
    }
    extra = repository.shadow.writing() | people
    words = message.encode()
    told = repository.shadow.git("commit-tree", tree, "-p", parent, stdin=words, extra=extra)
    return told.decode().strip()


def refuse_others_work(
    repository: GitRepository, branch: str, tip: str | None, commit: str, where: str
) -> None:
    """Refuse to move a branch away from a commit that is not ours."""
    if tip not in (None, commit) and not is_ours(repository, str(tip)):
        raise Refused(
            f"Somebody moved the branch {branch} of {where}; their work is not overwritten.",
            remedy=f"merge or delete {branch} there, then let the change be proposed again",
        )


def is_ours(repository: GitRepository, sha: str) -> bool:
    """Say whether we wrote a commit here; one that others made, amended or rebased is not."""
    if repository.lookup(sha) is None:
        return False
    told = repository.shadow.git("log", "-1", "--format=%an <%ae>%n%cn <%ce>", sha, "--")
    return set(told.decode(errors="replace").splitlines()) == {SELFDRIVE}


def says(repository: GitRepository, sha: str) -> tuple[str, str, str] | None:
    """Return (tree, parents, message) of a commit, None when it is not in this repository."""
    if repository.lookup(sha) is None:
        return None
    told = repository.shadow.git("log", "-1", "--format=%T%n%P%n%B", sha, "--").decode()
    tree, parents, message = told.split("\n", 2)
    return tree, parents, message.rstrip("\n") + "\n"
