"""What holds for every test: `tests/` is on the path, so that `from fakes.… import …` works.

The products under `cases/` are data, with tests of their own that are not ours to run. The
environment of whoever runs the tests reaches none of them.
"""

import os
import signal

import pytest

collect_ignore = ["cases"]

FOREIGN = ("SELFDRIVE_", "ANTHROPIC_", "SENTRY_", "OTEL_", "DAGSTER_", "GIT_", "PYTEST_ADDOPTS")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in a script's background, we and all programs under test would not hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away variables that would choose a home, a database, a key or a repository."""
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
