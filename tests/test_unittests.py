"""A command of unittest becomes pytest's: the same tests, or a refusal."""

import subprocess
import sys
from pathlib import Path

import pytest

from selfdrive_dagster.config.settings import pytest_arguments

ONLY = ("-o", "python_functions=", "-o", "python_classes=")
FILES = ("-o", "python_files=test*.py")
COMMANDS: dict[str, tuple[str, ...] | None] = {
    "python -m unittest": (*FILES, *ONLY),
    "python3 -m unittest discover": (*FILES, *ONLY),
    "python -m unittest discover -s tests -p '*_spec.py' -t .": (
        "-o", "python_files=*_spec.py", *ONLY, "tests",
    ),
    "python -m unittest discover tests": (*FILES, *ONLY, "tests"),
    "python -m unittest discover --start-directory=tests -v -b -f": (
        "-v", "-x", *FILES, *ONLY, "tests",
    ),
    "python -m unittest tests.test_a tests/test_b.py": (
        *FILES, *ONLY, "tests/test_a.py", "tests/test_b.py",
    ),
    "python -m unittest tests.test_a.Reading.test_it": (
        *FILES, *ONLY, "tests/test_a.py::Reading::test_it",
    ),
    "python -m unittest -k reading": (*FILES, *ONLY, "-k", "reading"),
    "python -m unittest -k 'read*'": None,
    "python -m unittest --durations 5": None,
    "python -m nose": None,
    "pytest -q tests": ("-q", "tests"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_becomes_pytests_or_is_refused(command: str) -> None:
    assert pytest_arguments(command) == COMMANDS[command]


SUITE = """\
import unittest


class Reading(unittest.TestCase):
    def test_one(self):
        pass


class TestOfNobody:
    def test_two(self):
        pass


def test_three():
    pass
"""


def test_pytest_collects_what_unittest_runs(tmp_path: Path) -> None:
    (tmp_path / "testing_words.py").write_text(SUITE)
    given = pytest_arguments("python -m unittest") or ()
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    told = subprocess.run(
        [*command, *given], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert [line for line in told.splitlines() if "::" in line] == [
        "testing_words.py::Reading::test_one"
    ]
