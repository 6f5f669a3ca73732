"""Proposals in real repositories: written once, pushed once, nobody's work overwritten."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.made_repository import MadeRepository

from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.proposals import (
    Proposed,
    product_branch,
    propose,
    remote_of,
    shown_remote,
)
from selfdrive_dagster.errors import BadInput, Refused, SelfdriveError
from selfdrive_dagster.rollout import branch_name, message_of, page_path

WHEN = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
BRANCH = branch_name(found.CHANGE)
PAGE = page_path(found.CHANGE)
FINDINGS = found.certified()


@pytest.fixture
def made(tmp_path: Path) -> MadeRepository:
    repository = MadeRepository(tmp_path / "repo")
    repository.write("shop/shipping.py", found.SOURCE)
    repository.write("tests/test_shop.py", "def test(): ...\n")
    repository.commit("Begin")
    return repository


@pytest.fixture
def origin(made: MadeRepository, tmp_path: Path) -> MadeRepository:
    made.git("clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    made.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    return existing(tmp_path / "origin.git")


def existing(path: Path) -> MadeRepository:
    there = MadeRepository.__new__(MadeRepository)
    there.path = path
    return there


def proposed(repository: GitRepository, **other: object) -> Proposed:
    given = {
        "remote": None,
        "branch": BRANCH,
        "base": "main",
        "candidate": found.candidate(),
        "reproducer": found.reproducer(),
        "page": "# A page\n",
        "page_path": PAGE,
        "message": message_of(FINDINGS),
        "when": WHEN,
    }
    return propose(repository, **{**given, **other})


def snapshot(repo: MadeRepository) -> tuple[str, str, bytes]:
    return (
        repo.git("status", "--porcelain"),
        repo.git("rev-parse", "HEAD"),
        (repo.path / ".git" / "index").read_bytes(),
    )


def test_a_proposal_is_one_commit_of_patch_test_and_page(made: MadeRepository) -> None:
    before = snapshot(made)
    told = proposed(GitRepository(made.path))
    assert told.pushed_to == ""
    assert made.git("rev-parse", BRANCH) == told.commit
    assert made.git("rev-parse", f"{BRANCH}^") == made.git("rev-parse", "main")
    names = made.git("diff", "--name-status", "main", BRANCH).splitlines()
    assert names == [
        f"A\t{PAGE}",
        "M\tshop/shipping.py",
        "A\ttests/test_selfdrive_1a2b3c4d.py",
    ]
    assert "DEFAULT_RATE" in made.git("show", f"{BRANCH}:shop/shipping.py")
    told_of = made.git("log", "-1", "--format=%an|%cn|%aI|%cI|%s", BRANCH)
    stamp = "2026-11-23T12:30:00+00:00"
    assert told_of == f"Selfdrive|Selfdrive|{stamp}|{stamp}|Fix KeyError in shipping_cost"
    assert snapshot(made) == before


def test_the_branch_merges_and_reverts_as_the_page_says(made: MadeRepository) -> None:
    proposed(GitRepository(made.path))
    made.git("merge", "-q", "--no-ff", "-m", "Merge", BRANCH)
    made.git("revert", "--no-edit", "-m", "1", "HEAD")
    assert made.git("diff", "HEAD~2", "HEAD") == ""


def test_without_a_candidate_only_page_and_test_are_written(made: MadeRepository) -> None:
    proposed(GitRepository(made.path), candidate=None)
    names = made.git("diff", "--name-only", "main", BRANCH).splitlines()
    assert names == [PAGE, "tests/test_selfdrive_1a2b3c4d.py"]
    proposed(GitRepository(made.path), candidate=None, reproducer=None, branch="loop/2")
    assert made.git("diff", "--name-only", "main", "loop/2") == PAGE


def test_doing_it_again_is_the_same_commit_even_later(
    made: MadeRepository, origin: MadeRepository
) -> None:
    first = proposed(GitRepository(made.path), remote="origin")
    assert first.pushed_to == "origin"
    assert origin.git("rev-parse", BRANCH) == first.commit
    later = datetime(2027, 1, 1, tzinfo=UTC)
    for when in (WHEN, later):
        assert proposed(GitRepository(made.path), remote="origin", when=when) == first
    made.git("branch", "-q", "-D", BRANCH)  # killed between push and branch
    assert proposed(GitRepository(made.path), remote="origin", when=later) == first
    assert made.git("rev-parse", BRANCH) == first.commit
    origin.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    assert proposed(GitRepository(made.path), remote="origin", when=later) == first
    assert origin.git("rev-parse", BRANCH) == first.commit


def test_our_own_proposal_is_replaced_when_its_content_changes(
    made: MadeRepository, origin: MadeRepository
) -> None:
    repository = GitRepository(made.path)
    first = proposed(repository, remote="origin")
    made.commit("Meanwhile", other__py="x = 1\n")
    second = proposed(repository, remote="origin", page="# Another\n")
    assert second.commit != first.commit
    assert origin.git("rev-parse", BRANCH) == second.commit == made.git("rev-parse", BRANCH)
    assert origin.git("rev-parse", f"{BRANCH}^") == made.git("rev-parse", "main")


def others_commit(origin: MadeRepository, folder: Path, *, amend: bool) -> str:
    origin.git("clone", "-q", "-b", BRANCH, ".", str(folder))
    theirs = existing(folder)
    theirs.write("shop/more.py", "x = 1\n")
    theirs.git("add", "-A")
    theirs.git("commit", "-q", *(["--amend", "--no-edit"] if amend else ["-m", "More"]))
    theirs.git("push", "-q", "--force", "origin", BRANCH)
    return theirs.git("rev-parse", "HEAD")


@pytest.mark.parametrize("amend", [False, True], ids=["added", "amended"])
def test_what_others_did_on_the_remote_branch_is_not_overwritten(
    amend: bool, made: MadeRepository, origin: MadeRepository, tmp_path: Path
) -> None:
    repository = GitRepository(made.path)
    first = proposed(repository, remote="origin")
    theirs = others_commit(origin, tmp_path / "theirs", amend=amend)
    for page in ("# A page\n", "# Another\n"):
        with pytest.raises(Refused, match=r"Somebody moved the branch loop/.* of origin"):
            proposed(repository, remote="origin", page=page)
    assert origin.git("rev-parse", BRANCH) == theirs
    assert made.git("rev-parse", BRANCH) == first.commit


def test_what_others_did_on_the_local_branch_is_not_overwritten(made: MadeRepository) -> None:
    proposed(GitRepository(made.path))
    made.git("checkout", "-q", BRANCH)
    theirs = made.commit("Mine", mine__py="x = 1\n")
    with pytest.raises(Refused, match="checked out"):
        proposed(GitRepository(made.path))
    made.git("checkout", "-q", "main")
    with pytest.raises(Refused, match="of this repository"):
        proposed(GitRepository(made.path))
    assert made.git("rev-parse", BRANCH) == theirs


def test_a_failed_push_leaves_no_branch(made: MadeRepository, tmp_path: Path) -> None:
    made.git("remote", "add", "origin", str(tmp_path / "nowhere.git"))
    with pytest.raises(SelfdriveError, match="origin could not be read"):
        proposed(GitRepository(made.path), remote="origin")
    assert made.git("branch", "--list", "loop/*") == ""


def test_a_remote_that_says_no_leaves_no_branch(
    made: MadeRepository, origin: MadeRepository
) -> None:
    origin.git("config", "receive.hideRefs", "refs/heads/loop")
    with pytest.raises(Refused, match="did not take the branch"):
        proposed(GitRepository(made.path), remote="origin")
    assert made.git("branch", "--list", "loop/*") == ""


def test_a_patch_that_does_not_fit_writes_nothing(made: MadeRepository) -> None:
    made.commit("Meanwhile", **{"shop/shipping__py": "RATES = {}\n"})
    with pytest.raises(BadInput, match="does not fit"):
        proposed(GitRepository(made.path))
    assert made.git("branch", "--list", "loop/*") == ""


@pytest.mark.parametrize("path", [PAGE, "tests/test_selfdrive_1a2b3c4d.py"])
def test_a_file_of_the_product_is_not_overwritten(path: str, made: MadeRepository) -> None:
    made.write(path, "theirs\n")
    made.commit("Theirs")
    with pytest.raises(Refused, match="would overwrite"):
        proposed(GitRepository(made.path))


def test_a_test_that_is_there_already_may_stay(made: MadeRepository) -> None:
    made.write("tests/test_selfdrive_1a2b3c4d.py", found.TEST)
    made.commit("Taken from an earlier proposal")
    proposed(GitRepository(made.path))
    assert "tests/" not in made.git("diff", "--name-only", "main", BRANCH)


def test_line_ends_and_modes_stay(made: MadeRepository) -> None:
    """Validation reads text as Python does, so its patches know no carriage returns."""
    file = made.write("shop/shipping.py", found.SOURCE.replace("\n", "\r\n"))
    file.chmod(0o755)
    made.commit("Windows")
    proposed(GitRepository(made.path))
    blob = made.git("cat-file", "-s", f"{BRANCH}:shop/shipping.py")
    fixed = found.SOURCE.replace("RATES[zone]", "RATES.get(zone, DEFAULT_RATE)")
    assert int(blob) == len(fixed.replace("\n", "\r\n"))
    assert made.git("diff", "--numstat", "main", BRANCH, "--", "shop") == "1\t1\tshop/shipping.py"
    assert made.git("ls-tree", BRANCH, "shop/shipping.py").startswith("100755")


def test_a_file_in_another_encoding_is_told(made: MadeRepository) -> None:
    made.write("shop/shipping.py", found.SOURCE.encode() + b"# caf\xe9\n")
    made.commit("Latin")
    with pytest.raises(BadInput, match="not UTF-8"):
        proposed(GitRepository(made.path))


def test_a_product_deep_in_its_repository(tmp_path: Path) -> None:
    made = MadeRepository(tmp_path / "mono")
    made.write("services/shop/shop/shipping.py", found.SOURCE)
    made.write("README", "top\n")
    made.commit("Begin")
    proposed(GitRepository(made.path / "services" / "shop"))
    names = made.git("diff", "--name-only", "main", BRANCH).splitlines()
    assert names == [
        f"services/shop/{name}"
        for name in (PAGE, "shop/shipping.py", "tests/test_selfdrive_1a2b3c4d.py")
    ]


def test_a_stranger_cannot_sign_the_commit(made: MadeRepository) -> None:
    message = (
        "Fix it\n\nAll good.\n\nSigned-off-by: Ada <ada@example.org>\nCo-authored-by: M <m@e>\n"
    )
    proposed(GitRepository(made.path), message=message)
    assert made.git("log", "-1", "--format=%(trailers)", BRANCH) == ""


FORGE = "https://forge.example/x.git"
SETTINGS = [("", "origin"), (".", None), ("none", None), ("up", "up"), (FORGE, FORGE)]


@pytest.mark.parametrize(("setting", "remote"), SETTINGS)
def test_which_remote_a_setting_means(
    setting: str, remote: str | None, made: MadeRepository, origin: MadeRepository
) -> None:
    made.git("remote", "add", "up", str(origin.path))
    assert remote_of(GitRepository(made.path), setting) == remote


def test_without_a_remote_branches_stay_here(made: MadeRepository) -> None:
    assert remote_of(GitRepository(made.path), "") is None
    with pytest.raises(BadInput, match="no remote named 'up'"):
        remote_of(GitRepository(made.path), "up")


def test_credentials_are_not_shown() -> None:
    assert shown_remote("https://bot:hunter2@forge.example/x.git") == "https://forge.example/x.git"
    assert shown_remote(None) == ""


def test_which_branch_is_released(made: MadeRepository) -> None:
    assert product_branch(GitRepository(made.path), "") == "main"
    assert product_branch(GitRepository(made.path), "live") == "live"
    made.git("checkout", "-q", "--detach")
    made.git("branch", "-q", "-m", "main", "other")
    with pytest.raises(BadInput, match=r"\[service\] branch"):
        product_branch(GitRepository(made.path), "")
