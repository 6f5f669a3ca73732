"""Opening a product: from git, from a plain folder, and what is told when it cannot be."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.made_repository import MadeRepository

from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.config import load
from selfdrive_dagster.errors import BadInput, SelfdriveError


def test_from_git_it_is_the_committed_state(tmp_path: Path) -> None:
    made = MadeRepository(tmp_path / "repo")
    made.write("shop/__init__.py", "price = 1\n")
    made.write("selfdrive.toml", '[service]\ntests = "python -m pytest -q tests"\n')
    sha = made.commit("Begin")
    made.write("shop/__init__.py", "price = 'not committed'\n")
    product, history = open_product(made.path, load(made.path), tmp_path / "out")
    assert product.revision == sha
    assert product.read("shop/__init__.py") == "price = 1\n"
    assert product.tests == ("-q", "tests")
    assert product.python == sys.executable
    assert product.source_files() == ("shop/__init__.py",)
    found = history.blame("shop/__init__.py", 1)
    assert found is not None
    assert found.sha == sha


def test_an_older_revision(tmp_path: Path) -> None:
    made = MadeRepository(tmp_path / "repo")
    first = made.commit("Begin", shop__py="price = 1\n")
    made.commit("Raise", shop__py="price = 2\n")
    product, _ = open_product(made.path, load(made.path), tmp_path / "out", revision="HEAD~1")
    assert product.revision == first
    assert product.read("shop.py") == "price = 1\n"


def test_a_plain_folder_is_copied_without_its_caches(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for name in ("shop.py", "tests/test_shop.py", ".venv/lib/x.py", "node_modules/y.js", "z.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "leads_out").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    told: list[str] = []
    out = folder / "out"  # even a copy into the folder itself comes to an end
    product, history = open_product(folder, load(folder), out, progress=told.append)
    copied = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert copied == {"shop.py", "tests/test_shop.py"}
    assert len(told) == 2
    assert product.revision.startswith("folder-")
    assert history.blame("shop.py", 1) is None
    assert history.changes("shop.py", 3) == ()
    assert history.show("HEAD", "shop.py") is None


def test_a_plain_folders_revision_follows_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    revisions = []
    for number, text in enumerate(("a = 1\n", "a = 1\n", "a = 2\n")):
        (folder / "shop.py").write_text(text)
        product, _ = open_product(folder, load(folder), tmp_path / f"out{number}")
        revisions.append(product.revision)
    assert revisions[0] == revisions[1] != revisions[2]


def test_a_revision_of_a_plain_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "shop.py").touch()
    with pytest.raises(BadInput, match="no git history"):
        open_product(tmp_path, load(tmp_path), tmp_path / "out", revision="main")


@pytest.mark.parametrize("files", [(), ("shop.py",)])
def test_code_that_is_not_committed_is_told(files: tuple[str, ...], tmp_path: Path) -> None:
    made = MadeRepository(tmp_path / "repo")
    made.commit("Begin", readme__md="hello\n")
    for name in files:
        made.write(name, "")
    with pytest.raises(BadInput, match="source"):
        open_product(made.path, load(made.path), tmp_path / "out")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """In a mount namespace of its own the copy meets a disk of 64 KiB."""
    made = MadeRepository(tmp_path / "repo")
    made.write("big.py", b"x = 1\n" * 40_000)
    made.commit("Begin")
    small = tmp_path / "small"
    small.mkdir()
    code = (
        "from pathlib import Path; from selfdrive_dagster.adapters.git import GitRepository\n"
        f"GitRepository(Path({str(made.path)!r})).export('HEAD', Path({str(small)!r}) / 'out')\n"
    )
    mount = f"mount -t tmpfs -o size=64k none {shlex.quote(str(small))}"
    python = shlex.join([sys.executable, "-c", code])
    probe = ["unshare", "-Urm", "sh", "-c", mount]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this machine gives no mount namespace of one's own")
    ran = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", f"{mount} && {python}"], capture_output=True, text=True
    )
    assert SelfdriveError.__name__ in ran.stderr
    assert "No space left" in ran.stderr
    assert "Remedy" in ran.stderr
