"""Revisions, exports and branches of real repositories, common and odd."""

import resource
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest
from fakes.made_repository import OWNER, MadeRepository

from selfdrive_dagster.adapters.git import GitFailed, GitRepository, remotes
from selfdrive_dagster.adapters.git.export import list_tree
from selfdrive_dagster.errors import BadInput, Refused, SelfdriveError


@pytest.fixture
def made(tmp_path: Path) -> MadeRepository:
    repository = MadeRepository(tmp_path / "repo")
    repository.write("tests/test_shop.py", "def test(): ...\n")
    repository.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    repository.write(".gitattributes", "tests export-ignore\n*.txt eol=crlf\n")
    repository.write("data.bin", bytes(range(256)))
    repository.write("empty", "")
    repository.write("näme with space.txt", "a\n")
    repository.commit("Begin", shop__py="a = 1\nb = 2\n")
    return repository


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def snapshot(repo: MadeRepository) -> tuple[str, str, bytes]:
    """What must not change when a branch is written: status, HEAD, the index's bytes."""
    return (
        repo.git("status", "--porcelain"),
        repo.git("rev-parse", "HEAD"),
        (repo.path / ".git" / "index").read_bytes(),
    )


def test_an_export_is_what_a_checkout_has_tests_included(
    made: MadeRepository, tmp_path: Path
) -> None:
    exported = GitRepository(made.path).export("HEAD", tmp_path / "out")
    names = set(made.git("-c", "core.quotePath=false", "ls-files").splitlines())
    out = tmp_path / "out"
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == names
    assert exported.files == len(names)
    assert exported.left_out == ()
    assert (out / "data.bin").read_bytes() == bytes(range(256))
    assert (out / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (out / "shop.py").stat().st_mode & 0o777 == 0o644
    assert (out / "tests").stat().st_mode & 0o777 == 0o755


def test_an_export_needs_a_fresh_folder(made: MadeRepository, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="not empty"):
        GitRepository(made.path).export("HEAD", tmp_path)


def tree_of(made: MadeRepository, rows: list[str]) -> str:
    """Write a tree that no checkout would make, and return its id."""
    told = subprocess.run(
        ["git", "mktree", "-z"],
        cwd=made.path,
        env=OWNER,
        input="".join(f"{row}\0" for row in rows),
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip()


def bomb(made: MadeRepository, kind: str) -> str:
    """Commit ten levels of ten equal entries: ten thousand million rows in a few kilobytes."""
    sha = made.git("rev-parse", "HEAD:shop.py" if kind == "100644 blob" else "HEAD")
    rows = [f"{kind} {sha}\tx{number}" for number in range(10)]
    for _ in range(9):
        sha = tree_of(made, rows)
        rows = [f"040000 tree {sha}\td{number}" for number in range(10)]
    return made.git("commit-tree", "-m", "Bomb", tree_of(made, rows))


@pytest.mark.parametrize("kind", ["100644 blob", "160000 commit"])
def test_a_tree_larger_than_memory_is_refused_while_it_is_read(
    kind: str, made: MadeRepository, tmp_path: Path
) -> None:
    revision = bomb(made, kind)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInput, match="more than we copy"):
        GitRepository(made.path).export(revision, tmp_path / "out")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 400_000  # KiB
    assert not (tmp_path / "out").exists()
    assert not psutil.Process().children()


def test_a_tree_that_takes_for_ever_to_list_comes_to_an_end(made: MadeRepository) -> None:
    sha = tree_of(made, [])
    for _ in range(12):
        sha = tree_of(made, [f"040000 tree {sha}\td{number}" for number in range(10)])
    shadow = GitRepository(made.path).shadow
    with pytest.raises(GitFailed, match="no end after 1 second"):
        list(list_tree(shadow, sha, seconds=1.0))


LINKS = [
    ("inside", "shop.py", True),
    ("deep/up", "../shop.py", True),
    ("absolute", "/etc/passwd", False),
    ("above", "../../etc", False),
    ("dangling", "nowhere", True),
    ("loop", "loop", True),
]


@pytest.mark.parametrize(("path", "target", "kept"), LINKS, ids=[link[0] for link in LINKS])
def test_links_that_lead_outside_are_left_out(
    path: str, target: str, kept: bool, made: MadeRepository, tmp_path: Path
) -> None:
    (made.path / path).parent.mkdir(exist_ok=True)
    (made.path / path).symlink_to(target)
    made.commit("Link")
    exported = GitRepository(made.path).export("HEAD", tmp_path / "out")
    assert (tmp_path / "out" / path).is_symlink() == kept
    assert (path in "".join(exported.left_out)) == (not kept)


def test_a_chain_of_innocent_links_does_not_lead_outside(
    made: MadeRepository, tmp_path: Path
) -> None:
    (made.path / "p" / "q").mkdir(parents=True)
    (made.path / "p" / "q" / "top").symlink_to("../..")
    (made.path / "out").symlink_to("p/q/top/..")
    made.commit("Chain")
    exported = GitRepository(made.path).export("HEAD", tmp_path / "out")
    assert not (tmp_path / "out" / "out").is_symlink()
    assert len(exported.left_out) == 1


def test_a_tree_with_names_no_checkout_would_write(made: MadeRepository, tmp_path: Path) -> None:
    blob = made.git("hash-object", "-w", "shop.py")
    inner = bytes.fromhex(blob)
    rows = b"".join(b"100644 " + name + b"\0" + inner for name in (b"..", b".GIT", b"ok.py"))
    (made.path / "raw").write_bytes(rows)
    tree = made.git("hash-object", "-t", "tree", "-w", "--literally", "raw")
    sha = made.git("commit-tree", tree, "-m", "hostile")
    exported = GitRepository(made.path).export(sha, tmp_path / "out")
    assert names_in(tmp_path / "out") == ["ok.py"]
    assert len(exported.left_out) == 2


def test_submodules_are_left_out_and_told(made: MadeRepository, tmp_path: Path) -> None:
    sha = made.git("rev-parse", "HEAD")
    made.git("update-index", "--add", "--cacheinfo", f"160000,{sha},vendored")
    made.git("commit", "-q", "-m", "Add a submodule")
    exported = GitRepository(made.path).export("HEAD", tmp_path / "out")
    assert exported.left_out == ("The submodule vendored was left out.",)


def test_history(made: MadeRepository) -> None:
    first = made.git("rev-parse", "HEAD")
    second = made.commit("Raise b", shop__py="a = 1\nb = 3\n")
    history = GitRepository(made.path).history("HEAD")
    touched = history.blame("shop.py", 2)
    assert touched is not None
    assert (touched.sha, touched.author, touched.summary) == (second, "Ada", "Raise b")
    assert touched.when == made.git("log", "-1", "--format=%aI")
    assert [commit.sha for commit in history.changes("shop.py", 5)] == [second, first]
    assert [commit.sha for commit in history.changes("shop.py", 1)] == [second]
    assert history.show(f"{second}~1", "shop.py") == "a = 1\nb = 2\n"


def test_history_does_not_invent(made: MadeRepository) -> None:
    history = GitRepository(made.path).history("HEAD")
    assert history.blame("shop.py", 99) is None
    assert history.blame("nowhere.py", 1) is None
    assert history.changes("nowhere.py", 3) == ()
    assert history.show("HEAD~1", "shop.py") is None
    assert history.show("--output=x", "shop.py") is None


def test_history_is_seen_from_its_base_not_from_head(made: MadeRepository) -> None:
    first = made.git("rev-parse", "HEAD")
    made.commit("Raise b", shop__py="a = 1\nb = 3\n")
    found = GitRepository(made.path).history(first).blame("shop.py", 2)
    assert found is not None
    assert found.sha == first


def test_a_branch_is_written_beside_everything(made: MadeRepository) -> None:
    made.write("shop.py", "a = 1\nb = 'my own edit'\n")
    made.write("staged.py", "")
    made.git("add", "staged.py")
    before = snapshot(made)
    sha = GitRepository(made.path).commit_branch(
        "loop/chg_1",
        base="main",
        overlay={
            "shop.py": "a = 5\nb = 2\n",
            "run.sh": "#!/bin/sh\n:\n",
            "new/n.py": "n = 1\n",
            "empty": None,
        },
        message="Repair the shop\n\nBecause.",
        author="Loop <loop@example.org>",
    )
    assert snapshot(made) == before
    assert made.git("rev-parse", "loop/chg_1") == sha
    changed = made.git("diff", "--name-status", "main", "loop/chg_1").splitlines()
    assert changed == ["D\tempty", "A\tnew/n.py", "M\trun.sh", "M\tshop.py"]
    assert made.git("ls-tree", sha, "run.sh").startswith("100755")
    assert made.git("log", "-1", "--format=%an %ae %cn %B", sha).startswith(
        "Loop loop@example.org Selfdrive Repair the shop"
    )
    made.git("fsck", "--strict")


@pytest.mark.parametrize(
    "path", ["deep/er/still/there.py", "deep/er/new.py", "deep/new/er/still.py"]
)
def test_a_branch_reaches_every_depth(path: str, made: MadeRepository) -> None:
    made.write("deep/beside.py", "")
    made.write("deep/er/still/there.py", "")
    made.commit("Go deep")
    GitRepository(made.path).commit_branch(
        "loop/1", base="main", overlay={path: "a = 1\n"}, message="m"
    )
    assert made.git("diff", "--name-only", "main", "loop/1") == path


def test_a_branch_moves_only_from_where_it_was_expected(made: MadeRepository) -> None:
    repository = GitRepository(made.path)
    overlay = {"shop.py": "a = 5\n"}
    first = repository.commit_branch("loop/1", base="main", overlay=overlay, message="one")
    with pytest.raises(Refused, match="was not written"):
        repository.commit_branch("loop/1", base="main", overlay={"x": "x"}, message="two")
    assert made.git("rev-parse", "loop/1") == first
    second = repository.commit_branch(
        "loop/1", base="main", overlay={"x": "x"}, message="two", expected=first
    )
    assert made.git("rev-parse", "loop/1") == second


@pytest.mark.parametrize(
    ("name", "overlay"),
    [
        ("main", {"shop.py": "x"}),
        ("bad..name", {"shop.py": "x"}),
        ("loop/1", {"../outside.py": "x"}),
        ("loop/1", {"/etc/x": "x"}),
        ("loop/1", {".git/config": "x"}),
        ("loop/1", {"a/.GIT/hooks/x": "x"}),
        ("loop/1", {"shop.py": "a = 1\nb = 2\n"}),
        ("loop/1", {"shop.py/below.py": "x"}),
        ("loop/1", {"link": "x"}),
        ("loop/1", {"deep/er/link/x": "x"}),
        ("loop/1", {"deep/er/file/below/x": "x"}),
    ],
)
def test_what_a_branch_may_not_be(
    name: str, overlay: dict[str, str | None], made: MadeRepository
) -> None:
    (made.path / "link").symlink_to("shop.py")
    made.write("deep/er/file", "")
    (made.path / "deep" / "er" / "link").symlink_to("/tmp")
    made.commit("Link")
    before, refs = snapshot(made), made.git("for-each-ref")
    with pytest.raises(SelfdriveError):
        GitRepository(made.path).commit_branch(name, base="main", overlay=overlay, message="m")
    assert (snapshot(made), made.git("for-each-ref")) == (before, refs)


def test_a_branch_checked_out_in_another_worktree_is_left_alone(
    made: MadeRepository, tmp_path: Path
) -> None:
    made.git("worktree", "add", "-q", "-b", "theirs", str(tmp_path / "theirs"))
    sha = made.git("rev-parse", "theirs")
    with pytest.raises(Refused, match="checked out"):
        GitRepository(made.path).commit_branch(
            "theirs", base="main", overlay={"x": "y"}, message="m", expected=sha
        )


def patch(old: str, new: str, path: str = "shop.py") -> str:
    return f"--- a/{path}\n+++ b/{path}\n@@ -1,2 +1,2 @@\n-{old}\n+{new}\n b = 2\n"


def test_a_patch_is_applied_to_the_working_tree_only(made: MadeRepository) -> None:
    index = (made.path / ".git" / "index").read_bytes()
    GitRepository(made.path).apply_to_worktree(patch("a = 1", "a = 4"))
    assert (made.path / "shop.py").read_text() == "a = 4\nb = 2\n"
    assert (made.path / ".git" / "index").read_bytes() == index


STRANGE_PATCHES = {
    "does_not_fit": patch("a = 7", "a = 4"),
    "half_fits": patch("a = 1", "a = 4") + patch("z = 1", "z = 2", "run.sh"),
    "outside": patch("a = 1", "a = 4", "../outside.py"),
    "git_dir": "--- /dev/null\n+++ b/.git/hooks/pre-commit\n@@ -0,0 +1 @@\n+evil\n",
    "mode": "diff --git a/shop.py b/shop.py\nold mode 100644\nnew mode 100755\n",
    "link": "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n"
    "+/etc\n\\ No newline at end of file\n",
    "junk": "hello",
    "empty": "",
}


@pytest.mark.parametrize("text", STRANGE_PATCHES.values(), ids=STRANGE_PATCHES)
def test_a_strange_patch_changes_nothing(text: str, made: MadeRepository) -> None:
    made.git("status")
    before = snapshot(made)
    with pytest.raises(Refused):
        GitRepository(made.path).apply_to_worktree(text)
    assert snapshot(made) == before


def test_dirty_state(made: MadeRepository) -> None:
    repository = GitRepository(made.path)
    assert repository.dirty() == ()
    made.write("shop.py", "a = 2\n")
    made.write("untracked.py", "")
    assert repository.dirty() == ("shop.py",)


def test_a_broken_index_is_unknown_not_clean(made: MadeRepository) -> None:
    (made.path / ".git" / "index").write_bytes(b"junk")
    assert GitRepository(made.path).dirty() is None


def test_a_product_deep_in_a_repository(made: MadeRepository, tmp_path: Path) -> None:
    made.write("services/shop/shop.py", "a = 1\nb = 2\n")
    made.commit("Add a service")
    repository = GitRepository(made.path / "services" / "shop")
    repository.export("HEAD", tmp_path / "out")
    assert names_in(tmp_path / "out") == ["shop.py"]
    history = repository.history("HEAD")
    assert history.show("HEAD", "shop.py") == "a = 1\nb = 2\n"
    assert [commit.summary for commit in history.changes("shop.py", 5)] == ["Add a service"]
    repository.commit_branch("loop/1", base="HEAD", overlay={"shop.py": "x\n"}, message="m")
    assert made.git("diff", "--name-only", "main", "loop/1") == "services/shop/shop.py"
    repository.apply_to_worktree(patch("a = 1", "a = 4"))
    assert (made.path / "services" / "shop" / "shop.py").read_text() == "a = 4\nb = 2\n"
    assert repository.dirty() == ("services/shop/shop.py",)


def test_a_folder_that_its_repository_does_not_know_counts_as_plain(made: MadeRepository) -> None:
    made.write("ignored/x.py", "")
    assert GitRepository.find(made.path / "ignored") is None
    assert GitRepository.find(made.path) is not None


def test_no_repository_at_all(tmp_path: Path) -> None:
    assert GitRepository.find(tmp_path) is None
    with pytest.raises(BadInput, match=r"git .* init"):
        GitRepository(tmp_path)


def test_a_repository_without_commits_says_what_to_do(tmp_path: Path) -> None:
    MadeRepository(tmp_path)
    repository = GitRepository.find(tmp_path)
    assert repository is not None
    assert repository.is_empty()
    assert repository.default_branch() is None
    with pytest.raises(BadInput, match="no commit yet"):
        repository.revision()


def test_a_bare_repository_gives_and_takes_all_but_a_worktree(
    made: MadeRepository, tmp_path: Path
) -> None:
    made.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    repository = GitRepository(tmp_path / "bare.git")
    repository.export("main", tmp_path / "out")
    assert (tmp_path / "out" / "shop.py").exists()
    repository.commit_branch("loop/1", base="main", overlay={"x": "y"}, message="m")
    assert repository.dirty() == ()
    with pytest.raises(Refused, match="bare"):
        repository.apply_to_worktree(patch("a = 1", "a = 4"))


def test_a_detached_head(made: MadeRepository) -> None:
    made.git("checkout", "-q", "--detach")
    repository = GitRepository(made.path)
    assert repository.current_branch() is None
    assert repository.default_branch() == "main"
    assert repository.revision() == made.git("rev-parse", "HEAD")


def test_the_remotes_default_branch_wins(made: MadeRepository) -> None:
    made.git("update-ref", "refs/remotes/origin/trunk", "HEAD")
    made.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    assert GitRepository(made.path).default_branch() == "trunk"


def test_a_shallow_clone(made: MadeRepository, tmp_path: Path) -> None:
    made.commit("Second", shop__py="a = 2\nb = 2\n")
    made.git("clone", "-q", "--depth", "1", f"file://{made.path}", str(tmp_path / "shallow"))
    repository = GitRepository(tmp_path / "shallow")
    assert repository.is_shallow()
    found = repository.history("HEAD").blame("shop.py", 2)
    assert found is not None
    assert found.summary == "Second"
    with pytest.raises(BadInput, match="unshallow"):
        repository.revision("HEAD~1")


def test_a_linked_worktree_has_its_own_head(made: MadeRepository, tmp_path: Path) -> None:
    made.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    repository = GitRepository(tmp_path / "side")
    assert repository.current_branch() == "side"
    repository.export("HEAD", tmp_path / "out")
    assert repository.dirty() == ()


def test_sha256_repositories(tmp_path: Path) -> None:
    made = MadeRepository(tmp_path / "new", "--object-format=sha256")
    made.commit("Begin", shop__py="a = 1\n", gone__py="")
    repository = GitRepository(made.path)
    sha = repository.commit_branch(
        "loop/1", base="HEAD", overlay={"shop.py": "a = 2\n", "gone.py": None}, message="m"
    )
    assert len(sha) == 64
    repository.export("loop/1", tmp_path / "out")
    assert names_in(tmp_path / "out") == ["shop.py"]


def test_a_missing_object_is_told_not_skipped(made: MadeRepository, tmp_path: Path) -> None:
    blob = made.git("rev-parse", "HEAD:shop.py")
    loose = made.path / ".git" / "objects" / blob[:2] / blob[2:]
    loose.chmod(0o644)
    loose.unlink()
    with pytest.raises(SelfdriveError, match=r"shop\.py|failed"):
        GitRepository(made.path).export("HEAD", tmp_path / "out")


def test_the_shadow_is_removed(made: MadeRepository) -> None:
    repository = GitRepository(made.path)
    folder = repository.shadow.folder
    assert folder.exists()
    del repository
    assert not folder.exists()


@pytest.fixture
def origin(made: MadeRepository, tmp_path: Path) -> MadeRepository:
    made.git("clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    made.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    theirs = MadeRepository.__new__(MadeRepository)
    theirs.path = tmp_path / "origin.git"
    return theirs


def test_push_takes_the_branch_and_nothing_else(
    made: MadeRepository, origin: MadeRepository
) -> None:
    repository = GitRepository(made.path)
    sha = repository.commit_branch("loop/1", base="main", overlay={"x": "1"}, message="m")
    remotes.push(repository.shadow, "origin", "loop/1", sha, None)
    assert origin.git("rev-parse", "loop/1") == sha
    assert origin.git("for-each-ref", "--format=%(refname:short)") == "loop/1\nmain"


def test_push_is_refused_when_somebody_else_moved_the_branch(
    made: MadeRepository, origin: MadeRepository
) -> None:
    repository = GitRepository(made.path)
    first = repository.commit_branch("loop/1", base="main", overlay={"x": "1"}, message="m")
    remotes.push(repository.shadow, "origin", "loop/1", first, None)
    origin.git("update-ref", "refs/heads/loop/1", origin.git("rev-parse", "main"))
    second = repository.commit_branch(
        "loop/1", base="main", overlay={"x": "2"}, message="m", expected=first
    )
    with pytest.raises(Refused, match="stale"):
        remotes.push(repository.shadow, "origin", "loop/1", second, first)
    with pytest.raises(Refused):
        remotes.push(repository.shadow, "origin", "loop/1", second, None)


def test_fetch_sees_the_remote_and_leaves_the_repository_alone(
    made: MadeRepository, origin: MadeRepository, tmp_path: Path
) -> None:
    made.git("clone", "-q", str(origin.path), str(tmp_path / "theirs"))
    theirs = MadeRepository(tmp_path / "theirs")
    sha = theirs.commit("Theirs", shop__py="a = 1\nb = 7\n")
    theirs.git("push", "-q", "origin", "main")
    refs = made.git("for-each-ref")
    repository = GitRepository(made.path)
    assert repository.fetch("origin", "main") == sha
    assert made.git("for-each-ref") == refs
    assert not (made.path / ".git" / "FETCH_HEAD").exists()


def test_a_repository_that_vanishes_is_told(made: MadeRepository) -> None:
    repository = GitRepository(made.path)
    shutil.rmtree(made.path)
    with pytest.raises(SelfdriveError):
        repository.refresh()
