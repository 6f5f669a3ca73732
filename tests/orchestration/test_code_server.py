"""The code server forks its runs: what it has imported by then must have started no thread."""

import subprocess
import sys

import pytest

from selfdrive_dagster.orchestration.code_server import PRELOADED

TASKS = "import os, {name}; print(len(os.listdir('/proc/self/task')))"


@pytest.mark.parametrize("name", PRELOADED)
def test_what_is_preloaded_starts_no_thread(name: str) -> None:
    command = [sys.executable, "-c", TASKS.format(name=name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
