"""Landing: a change enters the product's branch at the commit that is expected, or it does not.

Promotion is a fast-forward to the very commit that users met; whoever moved the branch meanwhile
makes it fail. A change leaves the branch again by a commit that gives its files back. Does not
belong here: when that may happen (`rollout.lifecycle`), and proposals' own branches.
"""

from datetime import datetime

from selfdrive_dagster.adapters.git import branches, remotes
from selfdrive_dagster.adapters.git.repository import SELFDRIVE, GitRepository
from selfdrive_dagster.errors import Refused


def head_of(repository: GitRepository, remote: str | None, branch: str) -> str:
    """Return the commit that the product's branch is at, where the team looks."""
    repository.refresh()
    return repository.fetch(remote, branch) if remote else repository.revision(f"heads/{branch}")


def contains(repository: GitRepository, head: str, commit: str) -> bool:
    """Say whether a commit is part of a branch. Raises GitFailed when git cannot tell."""
    return not repository.shadow.git("rev-list", "--max-count=1", commit, f"^{head}").strip()


def is_out(repository: GitRepository, head: str, commit: str) -> bool:
    """Say whether a branch is without what a commit brought: it never landed, or was undone.

    Undone it is by our own commit, or where its files are as they were before it.
    """
    if not contains(repository, head, commit):
        return True
    told = f"--grep={undone(commit)}"
    if repository.shadow.git("rev-list", "--fixed-strings", told, head, f"^{commit}").strip():
        return True
    base = repository.revision(f"{commit}^1")
    return not _files(repository, base, commit) & _files(repository, base, head)


def undone(commit: str) -> str:
    """Return the words by which a commit that undoes another names it."""
    return f"This takes back {commit}."


def land(
    repository: GitRepository, remote: str | None, branch: str, commit: str, expected: str
) -> None:
    """Move the product's branch from `expected` to `commit`, which stands on it.

    Done already, it changes nothing. Raises Refused when the branch is elsewhere by now.
    """
    head = head_of(repository, remote, branch)
    if head == commit:
        return
    if head != expected or repository.revision(f"{commit}^1") != expected:
        raise Refused(
            f"{branch} is at {head[:12]}, not at {expected[:12]} on which {commit[:12]} stands.",
            remedy="the change has to be proven on the branch as it is now",
        )
    _move(repository, remote, branch, commit, expected)


def take_back(
    repository: GitRepository, remote: str | None, branch: str, commit: str, when: datetime
) -> str:
    """Undo a commit that landed, by a further one, and return that; the head where it is out.

    Done already, it changes nothing. Files are given back whole. Raises Refused where somebody
    changed one of them since.
    """
    head = head_of(repository, remote, branch)
    if is_out(repository, head, commit):
        return head
    base = repository.revision(f"{commit}^1")
    if _files(repository, commit, head) & _files(repository, base, commit):
        raise Refused(
            f"Others changed the files of {commit[:12]} since it landed.",
            remedy=f"undo it by hand: git revert {commit}",
        )
    tree = _tree_with(repository, head, base, _files(repository, base, commit))
    words = (
        f"Take back {commit[:12]}\n\n{undone(commit)}\n"
        "It was rolled back: users were harmed, or a person said so.\n"
    )
    made = branches.write_commit(repository.shadow, tree, head, words, SELFDRIVE)
    _move(repository, remote, branch, made, head)
    return made


def _move(
    repository: GitRepository, remote: str | None, branch: str, commit: str, expected: str
) -> None:
    if remote:
        remotes.push(repository.shadow, remote, branch, commit, expected)
    else:
        ref = branches.branch_ref(repository.shadow, branch)
        branches.move_ref(repository.shadow, ref, commit, expected)


def _files(repository: GitRepository, one: str, other: str) -> set[str]:
    """Return the files in which two commits differ, from the repository's top."""
    told = repository.shadow.git("diff-tree", "-r", "-z", "--name-only", one, other)
    return {name for name in told.decode(errors="replace").split("\0") if name}


def _tree_with(repository: GitRepository, head: str, base: str, names: set[str]) -> str:
    """Return the tree of `head` with some files as they are at `base`."""
    shadow = repository.shadow
    extra = shadow.writing() | {"GIT_INDEX_FILE": str(shadow.folder / "new-index")}
    shadow.git("read-tree", head, extra=extra)
    rows = []
    for name in sorted(names):
        told = shadow.git("ls-tree", "--full-tree", base, "--", name).decode()
        mode, _, rest = told.partition(" ")
        blob = rest.split("\t")[0].split(" ")[-1] if told else "0" * len(head)
        rows.append(f"{mode or '0'} {blob}\t{name}\0")
    shadow.git("update-index", "-z", "--index-info", stdin="".join(rows).encode(), extra=extra)
    return shadow.git("write-tree", extra=extra).decode().strip()
