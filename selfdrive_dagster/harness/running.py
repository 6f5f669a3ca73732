"""Run chosen tests in this process: pytest's session without what nobody reads, and single tests.

Belongs here: what every program shares that runs tests again and again. Does not belong: records
of what a test did (`suite`), and forks.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from .session import PLAIN, SelfdriveDeadline, Unreported, arguments, chain, deadline
from .shortcuts import Way, needs_fixtures, unmake, warnings_as_set, way_of

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


TERSE = "selfdrive_terse"
"""The name under which pytest knows the plugin."""


class Terse:
    """A plugin that says of a failure only what ended it: its words cost more than most tests.

    It notes what failed besides, which is how pytest tells of a part of a test (`subTest`).
    """

    __name__ = TERSE

    def __init__(self) -> None:
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the tests of which something failed."""
        self.failed |= {report.nodeid} if report.failed else set()

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

    terse: Any = item.config.pluginmanager.get_plugin(TERSE)
    terse.failed.discard(item.nodeid)
    try:
        with deadline(seconds, computing):
            reports = runtestprotocol(item, log=False, nextitem=following)
    except SelfdriveDeadline:
        return "hung"
    if any(report.longrepr == "hung" for report in reports):
        return "hung"
    called = any(report.when == "call" and report.passed for report in reports)
    failed = any(report.failed for report in reports) or item.nodeid in terse.failed
    return "passed" if called and not failed else "killed"


def run_shortly(
    way: Way, item: pytest.Item, following: pytest.Item | None, seconds: float, bound: float | None
) -> str:
    """Run a simple test its short way under its alarms: `passed`, `killed` or `hung`."""
    try:
        with deadline(seconds, bound), warnings_as_set(item.config):
            raised = way(item, following)
    except SelfdriveDeadline as error:
        raised = [error]
    hung = any(isinstance(one, SelfdriveDeadline) for error in raised for one in chain(error))
    return "hung" if hung else "killed" if raised else "passed"


def run_until(
    items: list[pytest.Item], seconds: float, bounds: Bounds, *, stop: bool = True
) -> dict[str, Any]:
    """Run tests in turn, to the first failure or to the end.

    Returns `outcome` (plausible, killed, hung), the test `by` which it came to that, and `failed`.
    """
    told: dict[str, Any] = {"outcome": "plausible", "by": "", "cold": False, "failed": []}
    for item, following in zip(items, _following(items), strict=True):
        way, bound = way_of(item), bounds.get(item.nodeid)
        if way is None:
            outcome = run_item(item, following, seconds, bound)
        else:
            outcome = run_shortly(way, item, following, seconds, bound)
        if outcome != "passed":
            told["failed"].append(item.nodeid)
            if stop:
                unmake(item)
                return {**told, "outcome": outcome, "by": item.nodeid}
    return told


def _following(items: list[pytest.Item]) -> list[pytest.Item | None]:
    """Return for each test the next one for which fixtures are made: until then they are kept."""
    found: list[pytest.Item | None] = []
    after: pytest.Item | None = None
    for item in reversed(items):
        found.append(after)
        after = item if needs_fixtures(item) else after
    return found[::-1]
