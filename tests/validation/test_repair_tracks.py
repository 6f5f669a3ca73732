"""From a product to a proof, or to a clear end: failing suites, hanging ones, none at all."""

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from selfdrive_dagster.adapters.sandbox.conversation import OnLine
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Claim, Commit, Crash, Job, Product, Ran, Verdict
from selfdrive_dagster.telemetry import read_crashes
from selfdrive_dagster.validation.repair import Budget, Repair, repair
from tests.fakes.plain_sandbox import PlainSandbox

SHOP = '''\
def is_free(cents):
    """Say whether shipping is free: from 50 euros."""
    return cents > 5000


def unknown(word):
    raise NotImplementedError("nobody knows what this should do")
'''
TESTS = """\
import pytest
import till


@pytest.mark.parametrize("cents", [5000, 5001])
def test_free(cents):
    assert till.is_free(cents)


@pytest.mark.parametrize("cents", [0, 4999])
def test_not_free(cents):
    assert not till.is_free(cents)


def test_unrelated():
    assert till.unknown("tea") == {"tea": ["green", 17.25]}
"""
QUICK = ("-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:timeout", "-p", "no:platformdirs")


class NoHistory:
    """Version control that knows nothing."""

    def blame(self, path: str, line: int) -> Commit | None:
        return None

    def changes(self, path: str, limit: int) -> tuple[Commit, ...]:
        return ()

    def show(self, revision: str, path: str) -> str | None:
        return None


def test_one_of_two_unrelated_failures_is_mended_alone(tmp_path: Path) -> None:
    (tmp_path / "till.py").write_text(SHOP)
    (tmp_path / "test_till.py").write_text(TESTS)
    product = Product(
        name="till", root=str(tmp_path), python=sys.executable, source=("till.py",), tests=QUICK
    )
    found = repair(
        product, NoHistory(), PlainSandbox(), crash=None, budget=Budget(max_candidates=120)
    )
    assert found.best is not None
    assert found.best.claim is Claim.REPAIR
    assert found.verdict is Verdict.CERTIFIED
    assert "+    return cents >= 5000" in found.best.patch
    assert found.diagnosis.failing_tests == ("test_till.py::test_free[5000]",)
    suite = next(check for check in found.reports[0].checks if check.name == "suite")
    assert suite.says == "all 4 other tests of the base end as before"


class HastySandbox(PlainSandbox):
    """Gives every job less time, so that a product that hangs does not hang the test."""

    def run(self, job: Job, on_line: OnLine | None = None) -> Ran:
        quick = {**job.spec, "deadline_seconds": min(job.spec["deadline_seconds"], 1.0)}
        return super().run(replace(job, spec=quick, seconds=min(job.seconds, SECONDS)), on_line)


SECONDS = 6.0
SOUND = "import till\n\n\ndef test_free():\n    assert till.is_free(5001)\n"
HANGS = "import till\n\n\ndef test_hangs():\n    while till.is_free(6000):\n        pass\n"
STUCK = "import till\n\nwhile till.is_free(6000):\n    pass\n"
BROKEN = "def test_broken(:\n    pass\n"
MISSING = "import no_such_module\n\n\ndef test_it():\n    pass\n"
KILLED = (
    "import os\nimport signal\n\n\ndef test_kills():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
)


def run(tmp_path: Path, files: dict[str, str], crash: Crash | None = None) -> Repair:
    for name, text in {"till.py": SHOP, **files}.items():
        (tmp_path / name).write_text(text)
    product = Product(
        name="till", root=str(tmp_path), python=sys.executable, source=("till.py",), tests=QUICK
    )
    budget = Budget(max_candidates=12, seconds=30.0)
    return repair(product, NoHistory(), HastySandbox(), crash=crash, budget=budget)


NO_TARGET: dict[str, tuple[dict[str, str], str]] = {
    "all tests pass": ({"test_till.py": SOUND}, "All 1 tests of till pass: nothing to repair."),
    "no tests": ({}, "The tests of till cannot be run: no test was found"),
    "a suite that hangs while it is collected": (
        {"test_till.py": STUCK},
        "The tests of till cannot be run: the session timed out before a test was collected",
    ),
    "tests that fail at collection": (
        {"test_till.py": MISSING},
        "The tests of till cannot be run: test_till.py: ModuleNotFoundError: "
        "No module named 'no_such_module'",
    ),
    "a syntax error in the only test file": (
        {"test_till.py": BROKEN},
        "The tests of till cannot be run: test_till.py: ",
    ),
    "a syntax error in one of two test files": (
        {"test_till.py": SOUND, "test_worse.py": BROKEN},
        "No test of till failed, but not all could be run: test_worse.py: ",
    ),
    "a test that kills the session": (
        {"test_a.py": SOUND, "test_b.py": KILLED},
        "No test of till failed, but not all could be run: the session killed after 1 of 2 tests",
    ),
}


@pytest.mark.parametrize("name", NO_TARGET)
def test_without_a_failing_test_the_reason_is_told(name: str, tmp_path: Path) -> None:
    files, says = NO_TARGET[name]
    with pytest.raises(BadInput) as told:
        run(tmp_path, files)
    assert told.value.message.startswith(says)
    assert told.value.remedy


def failing(name: str) -> str:
    return f"import till\n\n\ndef test_{name}():\n    assert till.is_free(5000)\n"


UNPROVEN: dict[str, dict[str, str]] = {
    "one of two test files has a syntax error": {
        "test_till.py": SOUND + failing("edge")[13:],
        "test_worse.py": BROKEN,
    },
    "the session dies behind the failing test": {
        "test_a.py": SOUND,
        "test_b.py": failing("edge"),
        "test_c.py": KILLED,
    },
}


@pytest.mark.parametrize("name", UNPROVEN)
def test_a_suite_that_cannot_be_read_whole_certifies_nothing(name: str, tmp_path: Path) -> None:
    found = run(tmp_path, UNPROVEN[name])
    assert found.reproduction.reproducer is not None
    assert (found.best, found.verdict) == (None, Verdict.INCONCLUSIVE)
    assert "the base suite cannot be read" in found.reports[0].reason


@pytest.mark.slow
def test_a_test_that_hangs_fails_and_is_no_hindrance_to_another(tmp_path: Path) -> None:
    files = {"test_a.py": SOUND, "test_b.py": HANGS, "test_c.py": failing("edge")}
    found = run(tmp_path, files)
    assert found.verdict is Verdict.CERTIFIED
    assert found.diagnosis.failing_tests == ("test_c.py::test_edge",)


TRACE = """\
Traceback (most recent call last):
  File "/srv/app/serve.py", line 3, in <module>
    till.is_free(None)
  File "/srv/app/till.py", line 3, in is_free
    return cents > 5000
TypeError: '>' not supported between instances of 'NoneType' and 'int'
"""
CRASHED: dict[str, dict[str, str]] = {
    "no tests": {},
    "a suite that hangs while it is collected": {"test_till.py": STUCK},
    "tests that fail at collection": {"test_till.py": MISSING},
    "a module of the product with a syntax error": {"test_till.py": SOUND, "worse.py": BROKEN},
}


@pytest.mark.parametrize("name", CRASHED)
def test_a_crash_is_diagnosed_whatever_the_suite_does(name: str, tmp_path: Path) -> None:
    [crash] = read_crashes(TRACE.encode(), "trace.txt")
    found = run(tmp_path, CRASHED[name], crash)
    assert [frame.function for frame in found.diagnosis.frames] == ["is_free"]
    assert found.verdict is not Verdict.CERTIFIED
    assert found.reproduction.attempts and all(one.outcome for one in found.reproduction.attempts)
    assert found.search.stopped
