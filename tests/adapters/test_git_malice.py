"""A repository that names programs everywhere git would run them: none of ours runs one."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.made_repository import OWNER, MadeRepository

from selfdrive_dagster.adapters.git import GitRepository, remotes
from selfdrive_dagster.errors import SelfdriveError

HOOKS = (
    *("pre-commit", "commit-msg", "post-commit", "pre-push", "post-checkout", "post-index-change"),
    *("reference-transaction", "pre-applypatch", "applypatch-msg", "post-applypatch"),
    *(
        "fsmonitor-watchman",
        "post-rewrite",
        "pre-auto-gc",
        "prepare-commit-msg",
        "sendemail-validate",
    ),
)
PROGRAMS = (
    *("core.fsmonitor", "core.editor", "core.pager", "core.sshCommand", "core.askPass"),
    *("core.gitProxy", "core.alternateRefsCommand", "diff.external", "diff.evil.textconv"),
    *("diff.evil.command", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process"),
    *("merge.evil.driver", "gpg.program", "gpg.ssh.program", "pager.log", "pager.blame"),
    *("credential.helper", "sequence.editor", "remote.origin.receivepack"),
    *("remote.origin.uploadpack", "uploadpack.packObjectsHook", "tar.tar.command"),
)
ALIASES = ("status", "archive", "apply", "blame", "cat-file", "ls-tree", "for-each-ref", "push")
SWITCHES = (
    *(("commit.gpgSign", "true"), ("push.gpgSign", "true"), ("log.showSignature", "true")),
    *(("core.untrackedCache", "true"), ("core.alternateRefsPrefixes", "refs")),
)


class Trap:
    """A program that leaves a mark when anybody runs it."""

    def __init__(self, folder: Path) -> None:
        self.marks = folder / "marks"
        self.program = folder / "evil"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >> {self.marks}\ncat\n')
        self.program.chmod(0o755)

    def sprung(self) -> str:
        return self.marks.read_text() if self.marks.exists() else ""


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path)


@pytest.fixture
def hostile(tmp_path: Path, trap: Trap) -> MadeRepository:
    made = MadeRepository(tmp_path / "hostile")
    made.commit("Begin", shop__py="price = 1\n", other__py="x = 1\n")
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", origin], env=OWNER, check=True)
    made.git("remote", "add", "origin", str(origin))
    attributes = "* filter=evil diff=evil merge=evil export-ignore export-subst\n"
    made.write(".gitattributes", attributes)
    made.commit("Set the trap")
    made.write(".git/info/attributes", attributes)
    for hook in HOOKS:
        made.write(f".git/hooks/{hook}", trap.program.read_text()).chmod(0o755)
    included = made.write(".git/included", f'[diff "evil"]\n\ttextconv = {trap.program}\n')
    pairs = [
        *((key, str(trap.program)) for key in PROGRAMS),
        *((f"alias.{name}", f"!{trap.program}") for name in ALIASES),
        *SWITCHES,
        ("core.hooksPath", str(made.path / ".git" / "hooks")),
        ("include.path", str(included)),
    ]
    for key, value in pairs:
        made.git("config", "--file", str(made.path / ".git" / "config"), "--add", key, value)
    # A tracked file that looks touched: plain `git status` now has to compare its content.
    made.write("shop.py", "price = 2\n")
    return made


def push(repository: GitRepository) -> None:
    remotes.push(repository.shadow, "origin", "main", repository.revision("main"), None)


PATCH = "--- a/shop.py\n+++ b/shop.py\n@@ -1 +1 @@\n-price = 2\n+price = 3\n"

ACTS: dict[str, Callable[[GitRepository, Path], object]] = {
    "find": lambda repo, into: GitRepository.find(repo.path),
    "revision": lambda repo, into: repo.revision("HEAD~1"),
    "default_branch": lambda repo, into: repo.default_branch(),
    "dirty": lambda repo, into: repo.dirty(),
    "export": lambda repo, into: repo.export("HEAD", into / "exported"),
    "blame": lambda repo, into: repo.history("HEAD").blame("shop.py", 1),
    "changes": lambda repo, into: repo.history("HEAD").changes("shop.py", 5),
    "show": lambda repo, into: repo.history("HEAD").show("HEAD", "shop.py"),
    "commit_branch": lambda repo, into: repo.commit_branch(
        "loop/1", base="HEAD", overlay={"shop.py": "price = 9\n", "new.py": "y = 1\n"}, message="m"
    ),
    "apply_to_worktree": lambda repo, into: repo.apply_to_worktree(PATCH),
    "push": lambda repo, into: push(repo),
    "fetch": lambda repo, into: (push(repo), repo.fetch("origin", "main")),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_no_program_of_the_repository_runs(
    act: Callable[[GitRepository, Path], object],
    hostile: MadeRepository,
    trap: Trap,
    tmp_path: Path,
) -> None:
    act(GitRepository(hostile.path), tmp_path)
    assert trap.sprung() == ""


@pytest.mark.parametrize(
    "arguments", [("status",), ("log", "-p", "-1", "--ext-diff"), ("add", "shop.py")]
)
def test_the_traps_do_work_on_plain_git(
    arguments: tuple[str, ...], hostile: MadeRepository, trap: Trap
) -> None:
    subprocess.run(["git", *arguments], cwd=hostile.path, env=OWNER, capture_output=True)
    assert trap.sprung()


def test_the_export_has_the_committed_bytes_whatever_the_attributes_say(
    hostile: MadeRepository, tmp_path: Path
) -> None:
    GitRepository(hostile.path).export("HEAD", tmp_path / "out")
    assert (tmp_path / "out" / "shop.py").read_text() == "price = 1\n"
    assert not (tmp_path / "out" / ".git").exists()


def test_a_remote_that_is_a_command_is_refused(hostile: MadeRepository, trap: Trap) -> None:
    hostile.git("config", "--file", ".git/config", "--unset-all", "remote.origin.url")
    hostile.git("config", "--file", ".git/config", "remote.origin.url", f"ext::{trap.program} %S")
    with pytest.raises(SelfdriveError, match="not allowed"):
        push(GitRepository(hostile.path))
    assert trap.sprung() == ""


def test_variables_of_a_surrounding_hook_do_not_leak_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = MadeRepository(tmp_path / "repo")
    sha = made.commit("Begin", a__py="1\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(tmp_path / "evil"))
    assert GitRepository(made.path).revision() == sha
