"""Run chosen tests in this process: pytest's session without what nobody reads, and single tests.

Belongs here: what every program shares that runs tests again and again. Does not belong: records
of what a test did (`suite`), and forks.
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any

import pytest

from .session import PLAIN, SelfdriveDeadline, Unreported, arguments, chain, deadline

Bounds = dict[str, float]
"""Processor seconds that a test may take, by node id."""


def run_session(node_ids: list[str], args: list[str], plugin: object) -> int:
    """Run pytest over the files of these tests with one plugin of ours."""
    files = list(dict.fromkeys(node_id.partition("::")[0] for node_id in node_ids))
    return int(
        pytest.main(
            [*arguments(options(args), os.getcwd()), PLAIN, *files],
            plugins=[plugin, Terse(), Unreported()],
        )
    )


def options(args: list[str]) -> list[str]:
    """Return pytest's options without those that choose tests: files, `-k` and `-m`."""
    kept: list[str] = []
    words = iter(args)
    for word in words:
        if word in ("-k", "-m"):
            next(words, None)
        elif word in ("-p", "-o", "-c", "-W"):
            kept += [word, next(words, "")]
        elif word.startswith("-"):
            kept.append(word)
    return kept


class Terse:
    """A plugin that says of a failure only what ended it: its words cost more than most tests."""

    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport | None:
        """Report failures with the single word `hung` or `failed`."""
        raised = None if call.excinfo is None else call.excinfo.value
        if raised is None or isinstance(raised, pytest.skip.Exception) or call.when == "collect":
            return None
        hung = any(isinstance(one, SelfdriveDeadline) for one in chain(raised))
        told = "hung" if hung else "failed"
        return pytest.TestReport(item.nodeid, item.location, {}, "failed", told, call.when)


def run_item(
    item: pytest.Item, following: pytest.Item | None, seconds: float, computing: float | None = None
) -> str:
    """Run one test under its alarms: `passed`, `killed` or `hung`."""
    from _pytest.runner import runtestprotocol

    try:
        with deadline(seconds, computing):
            reports = runtestprotocol(item, log=False, nextitem=following)
    except SelfdriveDeadline:
        return "hung"
    if any(report.longrepr == "hung" for report in reports):
        return "hung"
    called = any(report.when == "call" and report.passed for report in reports)
    return "passed" if called and not any(report.failed for report in reports) else "killed"


RUNNING = (
    "pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown", "pytest_pyfunc_call",
)  # fmt: skip
OWN = ("_pytest", "_hypothesis_pytestplugin")
"""Plugins that add nothing to a plain test. Others may: then pytest runs all."""


@functools.cache
def is_plain(item: pytest.Item) -> bool:
    """Say whether a test is no more than its function: no fixture, no mark, no foreign hook.

    Asked once before a process forks, it costs the children nothing.
    """
    if type(item) is not pytest.Function or item.fixturenames or any(item.iter_markers()):
        return False
    hooks = (impl for name in RUNNING for impl in getattr(item.ihook, name).get_hookimpls())
    ours = all(impl.function.__module__.partition(".")[0] in OWN for impl in hooks)
    return ours and not inspect.iscoroutinefunction(item.obj)


def run_plain(
    item: Any, _following: pytest.Item | None, seconds: float, computing: float | None
) -> str:
    """Run a plain test under its alarms without pytest, which takes longer than most of them."""
    try:
        with deadline(seconds, computing):
            item.obj()
    except BaseException as error:  # SystemExit and a skip are no pass either
        hung = any(isinstance(one, SelfdriveDeadline) for one in chain(error))
        return "hung" if hung else "killed"
    return "passed"


def run_until(
    items: list[pytest.Item], seconds: float, bounds: Bounds, *, stop: bool = True
) -> dict[str, Any]:
    """Run tests in turn, to the first failure or to the end.

    Returns `outcome` (plausible, killed, hung), the test `by` which it came to that, and `failed`.
    """
    told: dict[str, Any] = {"outcome": "plausible", "by": "", "cold": False, "failed": []}
    for item, following in zip(items, [*items[1:], None], strict=True):
        run = run_plain if is_plain(item) else run_item
        outcome = run(item, following, seconds, bounds.get(item.nodeid))
        if outcome != "passed":
            told["failed"].append(item.nodeid)
            if stop:
                return {**told, "outcome": outcome, "by": item.nodeid}
    return told
