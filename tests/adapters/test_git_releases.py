"""Which versions hold a commit: commits and tags do, a branch's name never does."""

from pathlib import Path

import pytest
from fakes.made_repository import MadeRepository

from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.git.releases import versions_with


@pytest.fixture
def made(tmp_path: Path) -> MadeRepository:
    repository = MadeRepository(tmp_path / "repo")
    repository.commit("one", a__py="A = 1\n")
    repository.git("tag", "v1.0")
    repository.commit("the fix", a__py="A = 2\n")
    repository.git("tag", "-a", "-m", "two", "v2.0")
    repository.git("tag", "2026.11.27-rc1")
    repository.commit("after it", a__py="A = 3\n")
    repository.git("branch", "2.5")
    return repository


def test_a_version_names_a_commit_or_a_tag(made: MadeRepository) -> None:
    fix, head = made.git("rev-parse", "HEAD~1"), made.git("rev-parse", "HEAD")
    before = made.git("rev-parse", "HEAD~2")
    asked = ["1.0", "v1.0", "2.0", "v2.0", "shop@2.0", "2026.11.27-rc1"]
    asked += [fix, fix[:12], head, before]
    held = versions_with(GitRepository(made.path), fix, asked)
    assert held == ("2.0", "v2.0", "shop@2.0", "2026.11.27-rc1", fix, fix[:12], head)


STRANGERS = (
    "main", "HEAD", "2.5", "", "unknown", "v2.0~0", "heads/main", "--all", "../../x", "2.0\n", "@"
)  # fmt: skip


@pytest.mark.parametrize("version", STRANGERS)
def test_whatever_else_is_said_tells_nothing(made: MadeRepository, version: str) -> None:
    fix = made.git("rev-parse", "HEAD~1")
    assert versions_with(GitRepository(made.path), fix, [version]) == ()
