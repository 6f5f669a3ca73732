"""The shop's history: the same every time, and blame leads to the commit that broke it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from shop_product import DEFECTS, SHOP, git, load

history = load("make_history")
ENVELOPES = SHOP.parents[1] / "tests" / "cases" / "shop_envelopes"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("history") / "shop"
    history.make_history(target, history.known_defects())
    return target


def test_the_same_choice_gives_the_same_commits(head: Path, tmp_path: Path) -> None:
    again = history.make_history(tmp_path / "again", history.known_defects())
    assert again == git(head, "rev-parse", "HEAD").strip()


def test_the_envelopes_name_this_head(head: Path) -> None:
    """Whoever changes the shop records the envelopes anew: their lines are this tree's."""
    release = git(head, "rev-parse", "HEAD").strip()
    envelopes = sorted(ENVELOPES.glob("*.envelope"))
    assert [path.name for path in envelopes if release not in path.read_text("utf-8")] == []


def test_without_defects_the_head_is_the_healthy_shop(tmp_path: Path) -> None:
    history.make_history(tmp_path / "healthy", [])
    for source in [*SHOP.glob("shop/**/*.py"), *SHOP.glob("tests/*.py")]:
        built = tmp_path / "healthy" / source.relative_to(SHOP)
        assert built.read_bytes() == source.read_bytes()
    assert git(tmp_path / "healthy", "status", "--porcelain") == ""


def test_the_history_has_several_authors(head: Path) -> None:
    assert len(set(git(head, "log", "--format=%an").splitlines())) == 4


@pytest.mark.parametrize("name", [name for name, one in DEFECTS.items() if one["exception"]])
def test_blame_finds_the_commit_that_broke_it(head: Path, name: str) -> None:
    """Of the line that raised; but a wrong rate in the data crashes in innocent code."""
    path, line = _crash_line(name)
    summary = git(head, "blame", "--porcelain", "-L", f"{line},{line}", "HEAD", "--", path)
    is_suspect = f"summary {DEFECTS[name]['commit']['subject']}" in summary.splitlines()
    assert is_suspect == (name != "07-percent-rate")


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_can_stand_alone(name: str, tmp_path: Path) -> None:
    history.make_history(tmp_path / "one", [name])
    git(tmp_path / "one", "apply", "--check", str(SHOP / "defects" / name / "fix.patch"))


def test_an_extra_patch_comes_last(tmp_path: Path) -> None:
    patch = SHOP / "defects" / "01-unknown-zone" / "defect.patch"
    history.make_history(tmp_path / "extra", [], extra=patch)
    assert "parcel_rate" in git(tmp_path / "extra", "show", "HEAD:shop/shipping.py")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--defects", "99-unheard-of"], "01-unknown-zone"),
        (["--extra", "nowhere.patch"], "nowhere.patch"),
    ],
)
def test_a_bad_choice_is_told(arguments: list[str], says: str, tmp_path: Path) -> None:
    ran = _make(tmp_path / "new", *arguments)
    assert ran.returncode == 2
    assert says in ran.stderr
    assert not (tmp_path / "new").exists()


def test_a_full_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    ran = _make(tmp_path)
    assert ran.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def _make(target: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SHOP / "make_history.py"), str(target), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def _crash_line(name: str) -> tuple[str, int]:
    """Return path and line of the frame that raised, as recorded."""
    event = json.loads((ENVELOPES / f"{name}.envelope").read_bytes().split(b"\n")[2])
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    innermost = [frame for frame in frames if frame["in_app"]][-1]
    return innermost["filename"], innermost["lineno"]
