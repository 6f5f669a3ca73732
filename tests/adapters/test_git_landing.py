"""Landing: at the commit that is expected, or not at all; and out again without others' work."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.made_repository import OWNER, MadeRepository

from selfdrive_dagster.adapters.git import GitFailed, GitRepository
from selfdrive_dagster.adapters.git.landing import contains, head_of, is_out, land, take_back
from selfdrive_dagster.errors import Refused

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Yard:
    """A product with a shared bare repository, and a change on a branch of its own."""

    def __init__(self, folder: Path) -> None:
        self.made = MadeRepository(folder / "repo")
        self.base = self.made.commit("Begin", shop__py="price = 1\n", other__py="x = 1\n")
        bare = folder / "there.git"
        subprocess.run(["git", "init", "-q", "--bare", bare], env=OWNER, check=True)
        self.made.git("remote", "add", "origin", str(bare))
        self.made.git("push", "-q", "origin", "main")
        self.made.git("checkout", "-q", "-b", "loop/change")
        self.commit = self.made.commit("Fix", shop__py="price = 2\n", test_shop__py="import shop\n")
        self.made.git("checkout", "-q", "main")
        self.repository = GitRepository(self.made.path)

    def others(self, **files: str) -> str:
        """Let somebody else push a commit to the product's branch."""
        self.made.git("fetch", "-q", "origin")
        self.made.git("reset", "-q", "--hard", "origin/main")
        sha = self.made.commit("Elsewhere", **files)
        self.made.git("push", "-q", "origin", "main")
        return sha

    def head(self) -> str:
        return head_of(self.repository, "origin", "main")


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def test_a_change_lands_as_the_very_commit_and_once(yard: Yard) -> None:
    for _ in range(2):
        land(yard.repository, "origin", "main", yard.commit, yard.base)
        assert yard.head() == yard.commit
    assert yard.made.git("rev-parse", "main") == yard.base  # the owner's own branch stays


def test_a_branch_that_moved_takes_nothing(yard: Yard) -> None:
    moved = yard.others(other__py="x = 2\n")
    with pytest.raises(Refused, match=moved[:12]):
        land(yard.repository, "origin", "main", yard.commit, yard.base)
    with pytest.raises(Refused):  # nor where it stands on another commit than it was proven on
        land(yard.repository, "origin", "main", yard.commit, moved)
    assert yard.head() == moved


def test_what_landed_is_taken_back_and_others_work_stays(yard: Yard) -> None:
    land(yard.repository, "origin", "main", yard.commit, yard.base)
    yard.others(other__py="x = 3\n")
    made = take_back(yard.repository, "origin", "main", yard.commit, NOW)
    assert yard.head() == made
    assert contains(yard.repository, made, yard.commit)
    tree = yard.repository.shadow.git("ls-tree", "--name-only", made).decode().split()
    assert tree == ["other.py", "shop.py"]  # the change's test went with it
    show = yard.repository.shadow.git
    assert show("show", f"{made}:shop.py") == b"price = 1\n"
    assert show("show", f"{made}:other.py") == b"x = 3\n"


def test_what_never_landed_needs_no_taking_back(yard: Yard) -> None:
    assert take_back(yard.repository, "origin", "main", yard.commit, NOW) == yard.base


def test_others_work_on_the_same_file_is_left_to_people(yard: Yard) -> None:
    land(yard.repository, "origin", "main", yard.commit, yard.base)
    moved = yard.others(shop__py="price = 5\n")
    with pytest.raises(Refused, match="git revert"):
        take_back(yard.repository, "origin", "main", yard.commit, NOW)
    assert yard.head() == moved


def test_a_commit_that_was_taken_back_is_out_though_history_has_it(yard: Yard) -> None:
    assert is_out(yard.repository, yard.head(), yard.commit)  # it never landed
    land(yard.repository, "origin", "main", yard.commit, yard.base)
    assert not is_out(yard.repository, yard.head(), yard.commit)
    made = take_back(yard.repository, "origin", "main", yard.commit, NOW)
    assert contains(yard.repository, made, yard.commit)
    assert is_out(yard.repository, made, yard.commit)
    assert take_back(yard.repository, "origin", "main", yard.commit, NOW) == made  # once
    later = yard.others(shop__py="price = 3\n")
    assert is_out(yard.repository, later, yard.commit)  # others may go on from there


def test_a_commit_that_others_undid_is_out_as_well(yard: Yard) -> None:
    land(yard.repository, "origin", "main", yard.commit, yard.base)
    yard.made.git("fetch", "-q", "origin")
    yard.made.git("reset", "-q", "--hard", "origin/main")
    yard.made.git("revert", "--no-edit", yard.commit)
    yard.made.git("push", "-q", "origin", "main")
    assert is_out(yard.repository, yard.head(), yard.commit)


def test_what_git_cannot_tell_is_not_out(yard: Yard) -> None:
    with pytest.raises(GitFailed):
        is_out(yard.repository, yard.head(), "0" * 40)
