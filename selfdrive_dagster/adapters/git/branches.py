"""Write a branch without touching index or working tree; apply a patch only when asked.

Functions over a shadow. New objects land in the repository; a branch appears last and at
once, so an interrupted write leaves only objects that git collects.
"""

import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from selfdrive_dagster.adapters.git.command import GitFailed
from selfdrive_dagster.adapters.git.export import is_safe
from selfdrive_dagster.adapters.git.shadow import Shadow
from selfdrive_dagster.errors import BadInput, Refused

AUTHOR = re.compile(r"(?P<name>[^<>\n]+) <(?P<email>[^<>\s]+)>")
STRANGE = re.compile(r"^ (mode change|(create|delete) mode 1[26]0000) .*$", re.MULTILINE)


def branch_ref(shadow: Shadow, name: str) -> str:
    """Return a branch's full ref. Refuses bad names and branches that are checked out."""
    ref = f"refs/heads/{name}"
    try:
        shadow.git("check-ref-format", ref)
    except GitFailed as error:
        raise BadInput(
            f"{name!r} is no name for a branch.",
            remedy="use letters, digits, - and / alone, for example fix/rates",
        ) from error
    worktree = shadow.real("for-each-ref", "--format=%(worktreepath)", ref).strip()
    is_head = (shadow.folder / "HEAD").read_bytes().strip() == f"ref: {ref}".encode()
    if worktree or is_head:
        raise Refused(
            f"The branch {name} is checked out.", remedy="name a branch that nobody works on"
        )
    return ref


def check_new(shadow: Shadow, name: str) -> None:
    """Refuse a name that no new branch can have: a bad one, or one that is in use."""
    ref = branch_ref(shadow, name)
    there = shadow.real("for-each-ref", "--format=%(refname)", "refs/heads").decode().split()
    for other in there:
        if f"{other}/".startswith(f"{ref}/") or ref.startswith(f"{other}/"):
            raise Refused(
                f"The branch {other.removeprefix('refs/heads/')} is there already.",
                remedy="choose another name, or delete that branch",
            )


def check_writable(shadow: Shadow) -> None:
    """Refuse a repository whose objects or branches this user may not write."""
    for name in ("objects", "refs/heads"):
        folder = shadow.place.common_dir / name
        if folder.exists() and not os.access(folder, os.W_OK):
            raise Refused(
                f"{folder} cannot be written, so no branch can be.",
                remedy="work in a clone of your own, or leave --branch out: the patch is printed",
            )


def write_tree(shadow: Shadow, parent: str, overlay: Mapping[str, str | None]) -> str:
    """Write blobs and trees of `parent` under an overlay; return the top tree's id.

    Overlay paths are the product's. Raises Refused for paths that leave it, and for links.
    """
    extra = shadow.writing() | {"GIT_INDEX_FILE": str(shadow.folder / "new-index")}
    shadow.git("read-tree", parent, extra=extra)
    rows = []
    for path, text in sorted(overlay.items()):
        if not is_safe(path):
            raise Refused(f"The path {path!r} leaves the product or touches git's own files.")
        full = shadow.place.prefix + path
        refuse_below_files(shadow, parent, full)
        mode, blob = file_mode(shadow, parent, full), "0" * len(parent)
        if text is None:
            mode = "0"
        else:
            words = text.encode()
            told = shadow.git("hash-object", "-w", "--stdin", stdin=words, extra=extra)
            blob = told.decode().strip()
        rows.append(f"{mode} {blob}\t{full}\0")
    changes = "".join(rows).encode()
    shadow.git("update-index", "-z", "--index-info", stdin=changes, extra=extra)
    return shadow.git("write-tree", extra=extra).decode().strip()


def refuse_below_files(shadow: Shadow, revision: str, full_path: str) -> None:
    """Refuse a path that lies "below" a file or a link of the revision.

    One folder at a time: asked for `a` and `a/b` at once, git lists what lies in `a`.
    """
    for parent in reversed(PurePosixPath(full_path).parents[:-1]):
        told = shadow.git("ls-tree", "--full-tree", revision, "--", parent.as_posix()).decode()
        if not told:
            return  # a folder to be made, and all below it
        if not told.startswith("040000 "):
            raise Refused(f"{full_path} lies below {parent}, which is no folder.")


def file_mode(shadow: Shadow, revision: str, full_path: str) -> str:
    """Return a file's mode, that of plain text when it is new. Refuses what is no file."""
    told = shadow.git("ls-tree", "--full-tree", revision, "--", full_path).decode()
    mode = told[:6] or "100644"
    if mode not in ("100644", "100755"):
        raise Refused(f"{full_path} is not a plain file: its mode is {mode}.")
    return mode


def write_commit(shadow: Shadow, tree: str, parent: str, message: str, author: str) -> str:
    """Write a commit and return its sha. `author` is "Name <mail@host>"."""
    writer = AUTHOR.fullmatch(author)
    if writer is None:
        raise BadInput(f"The author is {author!r}.", remedy="write it as: Name <mail@host>")
    people = {"GIT_AUTHOR_NAME": writer["name"], "GIT_AUTHOR_EMAIL": writer["email"]}
    told = shadow.git(
        *("commit-tree", tree, "-p", parent),
        stdin=message.encode(),
        extra=shadow.writing() | people,
    )
    return told.decode().strip()


def move_ref(shadow: Shadow, ref: str, sha: str, expected: str | None) -> None:
    """Point a ref at a commit if it still is at `expected` (None: is not there), else refuse."""
    old = expected or "0" * len(sha)
    try:
        shadow.real("update-ref", "-m", "selfdrive: propose", ref, sha, old)
    except GitFailed as error:
        raise Refused(
            f"The branch {ref.removeprefix('refs/heads/')} was not written: {error.says}",
            remedy="choose another name, or delete the branch that is in the way",
        ) from error
    shadow.refresh()


def check_worktree(shadow: Shadow, patch: str) -> None:
    """Refuse a patch that does not fit the working tree or does more than edit text."""
    try:
        told = over_files(shadow, patch, "--summary")
        if strange := STRANGE.search(told.decode(errors="replace")):
            raise Refused(f"The patch would do more than edit text: {strange[0].strip()}.")
        over_files(shadow, patch, "--check")
    except GitFailed as error:
        if is_applied(shadow, patch):
            raise Refused(
                "The patch is already applied.", remedy="see it with `git diff`, then commit it"
            ) from error
        raise Refused(
            f"The patch does not fit the working tree: {error.says}",
            remedy="commit or stash your own changes first, or use --branch",
        ) from error


def is_applied(shadow: Shadow, patch: str) -> bool:
    """Say whether the working tree has a patch's new lines: its reverse would apply."""
    try:
        over_files(shadow, patch, "--reverse", "--check")
    except GitFailed:
        return False
    return True


def apply_to_worktree(shadow: Shadow, patch: str) -> None:
    """Apply a unified diff to the product's working tree: all of it or nothing."""
    check_worktree(shadow, patch)
    over_files(shadow, patch)


def over_files(shadow: Shadow, patch: str, *options: str) -> bytes:
    """Run `git apply` over the product's files. Refuses where there are none."""
    if shadow.place.top is None:
        raise Refused("A bare repository has no working tree.", remedy="use --branch")
    prefix = shadow.place.prefix.rstrip("/")
    where = ["--whitespace=nowarn", *([f"--directory={prefix}"] if prefix else [])]
    return shadow.over_worktree("apply", *where, *options, stdin=patch.encode())
