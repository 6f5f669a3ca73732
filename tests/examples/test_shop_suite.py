"""The shop's suite and the judges: red where the defects are, green where they are mended."""

import shutil
from pathlib import Path

import pytest
from shop_product import DEFECTS, SHOP, git, load, run_suite

history = load("make_history")
SILENT = "tests/test_discounts.py::test_a_tier_begins_at_its_subtotal"


def add_judges(tree: Path) -> None:
    """Put the hidden tests that judge repairs beside the shop's own."""
    for name in DEFECTS:
        shutil.copyfile(SHOP / "defects" / name / "judge.py", tree / "tests" / _judge(name))


def _judge(name: str) -> str:
    return f"test_judge_{name.replace('-', '_')}.py"


def test_only_the_silent_defect_and_the_judges_are_red(tmp_path: Path) -> None:
    history.make_history(tmp_path / "shop", history.known_defects())
    add_judges(tmp_path / "shop")
    status, failed = run_suite(tmp_path / "shop")
    assert status == 1
    judged = {node.split("::")[0].removeprefix("tests/") for node in failed - {SILENT}}
    assert SILENT in failed
    assert judged == {_judge(name) for name in DEFECTS}


def test_the_true_fixes_turn_everything_green(tmp_path: Path) -> None:
    history.make_history(tmp_path / "shop", history.known_defects())
    for name in DEFECTS:
        git(tmp_path / "shop", "apply", str(SHOP / "defects" / name / "fix.patch"))
    add_judges(tmp_path / "shop")
    assert run_suite(tmp_path / "shop") == (0, set())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_suite_passes_at_every_commit(tmp_path: Path) -> None:
    history.make_history(tmp_path / "shop", history.known_defects())
    commits = git(tmp_path / "shop", "rev-list", "--reverse", "HEAD").split()
    results = []
    for commit in commits:
        git(tmp_path / "shop", "checkout", "--quiet", commit)
        results.append(run_suite(tmp_path / "shop"))
    assert results[:-1] == [(0, set())] * (len(commits) - 1)
    assert results[-1] == (1, {SILENT})
