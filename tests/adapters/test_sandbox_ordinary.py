"""What a root machine hides: an ordinary user, a crowded one, one without namespaces."""

import os
import shutil
import tempfile
import textwrap
from pathlib import Path

import pytest
from fakes.ordinary_user import CROWD, REPOSITORY, UID, WITHOUT_NAMESPACES, as_user

pytestmark = [
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else"),
]

TRY = """
import os, sys
from pathlib import Path
from fakes.acting_harness import act, acting_harness
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.errors import Refused

home = Path(os.environ["HOME"])
sandbox = BwrapSandbox(home / "state", harness=acting_harness(home / "harness"))
probing = BwrapSandbox(home / "state")
found = probing.findings()
print(os.geteuid(), found.level.value, found.fence, len(found.results))
print([(result.name, result.says) for result in found.results if not result.passed])
try:
    {run}
except Refused as refused:
    print("refused:", refused)
"""
RUN = "print(sandbox.run(act('emit({\"ran\": True})')).lines)"


@pytest.fixture
def as_somebody():
    """Run the trial as an ordinary user with an empty home; returns its lines."""
    home = Path(tempfile.mkdtemp(prefix="ordinary-"))

    def run(prelude: str = "", code: str = RUN) -> list[str]:
        script = TRY.format(run=textwrap.indent(code, "    ").strip())
        done = as_user(
            "-c",
            f"import sys; sys.path.insert(0, {str(REPOSITORY / 'tests')!r})\n{script}",
            home=home,
            prelude=prelude,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    yield run
    shutil.rmtree(home)


def test_an_ordinary_user_has_a_full_sandbox(as_somebody):
    lines = as_somebody()
    assert lines[0].startswith(f"{UID} full"), lines
    assert lines[-1] == "({'ran': True},)"


COUNT = """
def owner(process):
    try:
        return process.stat().st_uid
    except FileNotFoundError:
        return -1  # it has ended meanwhile
print(sum(owner(one) == os.geteuid() for one in Path('/proc').glob('[0-9]*')))
"""


def test_so_has_one_with_more_than_300_tasks(as_somebody):
    lines = as_somebody(prelude=CROWD.format(seconds=12), code=f"{COUNT}\n{RUN}")
    assert int(lines[-2]) > 300
    assert lines[0].startswith(f"{UID} full"), lines
    assert lines[-1] == "({'ran': True},)"


@pytest.mark.slow
def test_everything_that_holds_for_root_holds_for_an_ordinary_user():
    """The whole of `test_sandbox_box.py`, with the watchdog as the fence."""
    home = Path(tempfile.mkdtemp(prefix="ordinary-"))
    box = str(Path(__file__).with_name("test_sandbox_box.py"))
    done = as_user("-m", "pytest", "-p", "no:cacheprovider", box, home=home, timeout=300)
    shutil.rmtree(home)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("who", WITHOUT_NAMESPACES)
def test_with_namespaces_refused_nothing_runs_and_the_remedy_is_told(as_somebody, who):
    lines = as_somebody(prelude=WITHOUT_NAMESPACES[who])
    assert " none " in lines[0], lines
    text = "\n".join(lines)
    assert "refused: the sandbox is none, full is required" in text
    assert "max_user_namespaces" in text
    assert "sudo sysctl -w user.max_user_namespaces=15000" in text
    assert "{'ran': True}" not in text
