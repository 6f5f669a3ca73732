"""The demo and `repair` where a root machine's comforts are missing: how they end, what they say.

An ordinary user with a crowd of tasks has the whole loop; where user namespaces are refused
nothing untrusted runs, the loop is shown up to the issues, and the command says what is missing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.ordinary_user import CROWD, UID, WITHOUT_NAMESPACES, as_user

ROOT = Path(__file__).resolve().parents[2]
SHOP = ROOT / "examples" / "shop"
DEFECT = SHOP / "defects" / "04-price-in-words" / "defect.patch"
TRACE = ROOT / "tests" / "cases" / "shop_envelopes" / "04-price-in-words.envelope"
REFUSED = 3
Selfdrive = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else"),
]


@pytest.fixture
def selfdrive() -> Iterator[Selfdrive]:
    """Run a command of ours as an ordinary user in a home of their own."""
    home = Path(tempfile.mkdtemp(prefix="ordinary-"))

    def run(*arguments: str, prelude: str) -> "subprocess.CompletedProcess[str]":
        command = ("-m", "selfdrive_dagster", *arguments)
        return as_user(*command, home=home, prelude=prelude, timeout=500)

    yield run
    shutil.rmtree(home)


@pytest.fixture
def shop() -> Iterator[Path]:
    """The shop's repository, owned by the ordinary user."""
    folder = Path(tempfile.mkdtemp(prefix="ordinary-shop-"))
    made = [sys.executable, str(SHOP / "make_history.py"), str(folder / "shop")]
    subprocess.run(made, check=True, capture_output=True)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", str(folder)], check=True)
    yield folder / "shop"
    shutil.rmtree(folder)


def test_a_crowded_user_sees_the_whole_loop(selfdrive: Selfdrive) -> None:
    prelude = CROWD.format(seconds=400)
    done = selfdrive("demo", "--defect", str(DEFECT), "--json", prelude=prelude)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the whole loop" in done.stderr
    assert {row["verdict"] for row in json.loads(done.stdout)["rows"]} == {"certified"}


def test_a_crowded_user_repairs(selfdrive: Selfdrive, shop: Path) -> None:
    prelude = CROWD.format(seconds=90)
    done = selfdrive("repair", str(shop), "--trace", str(TRACE), prelude=prelude)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "CERTIFIED" in done.stdout


def test_without_namespaces_the_demo_ends_at_the_issues(selfdrive: Selfdrive) -> None:
    prelude = WITHOUT_NAMESPACES["as a user"]
    done = selfdrive("demo", "--defect", str(DEFECT), "--json", prelude=prelude)
    assert done.returncode == REFUSED, done.stderr[-3000:]
    rows = json.loads(done.stdout)["rows"]
    assert rows
    assert not any(row["change"] for row in rows)
    assert "user.max_user_namespaces" in done.stderr


def test_without_namespaces_repair_ends_at_the_diagnosis(selfdrive: Selfdrive, shop: Path) -> None:
    prelude = WITHOUT_NAMESPACES["as a user"]
    done = selfdrive("repair", str(shop), "--trace", str(TRACE), prelude=prelude)
    assert done.returncode == REFUSED, done.stdout[-2000:] + done.stderr[-2000:]
    assert "parse_price" in done.stdout
    assert "user.max_user_namespaces" in done.stdout + done.stderr
