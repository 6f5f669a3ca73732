"""Run the product's tests in this process and tell of each one.

    spec = {"args": ["-q", "tests"], "node_ids": [...] | null, "lines": bool,
            "sources": ["shop"], "deadline_seconds": 10.0, "plain": bool,
            "extra_canary": {"name": "…", "message": "…"} | null}

    {"kind": "collected", "node_ids": [...], "errors": [{"path", "message"}]}
    {"kind": "test", "id", "outcome": "passed|failed|error|skipped|xfailed|xpassed",
     "seconds", "exception": null | {"type", "mro", "message", "frames", "chain"}}
    {"kind": "lines", "id", "files": {path: [line, ...]}}
    {"kind": "end", "exit": int}

One `test` record for each node id. Node ids and paths are relative to the current directory,
times are seconds. With `plain` asserts stay as Python has them, and tell nothing of what they
compared: rewriting a file of tests may take longer than its tests do. With `node_ids` only those
run, in the order of collection; a file or class stands for all tests in it. The canary is one more
test, `selfdrive::<name>`, that must fail with its message: a session in which it does not is not
to be believed. After MOST_HANGS tests that ran past their deadline no lines are watched: the rest
runs, without a `lines` record.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from .lines import Lines
from .session import PLAIN, Unreported, arguments, deadline, describe, settle

Emit = Callable[[dict[str, Any]], None]
MOST_HANGS = 3


def main(spec: dict[str, Any], emit: Emit) -> int:
    """Run the session that `spec` describes; return pytest's exit code."""
    sys.dont_write_bytecode = True
    cwd = os.path.realpath(os.getcwd())
    recorder = Recorder(spec, emit, cwd)
    plugins = [recorder, Watcher(recorder.lines), Unreported()]
    args = [*(spec.get("args") or []), *([PLAIN] if spec.get("plain") else [])]
    code = int(pytest.main(arguments(args, cwd), plugins=plugins))
    if not recorder.collected:
        emit({"kind": "collected", "node_ids": [], "errors": recorder.errors})
    emit({"kind": "end", "exit": code})
    return code


class Recorder:
    """The pytest plugin that turns a session into records."""

    def __init__(self, spec: dict[str, Any], emit: Emit, cwd: str) -> None:
        self._emit = emit
        self._cwd = cwd
        self._node_ids: list[str] | None = spec.get("node_ids")
        self._canary: dict[str, str] | None = spec.get("extra_canary")
        self._seconds: float | None = spec.get("deadline_seconds")
        self.lines = Lines(list(spec.get("sources") or ["."]), cwd) if spec.get("lines") else None
        self._hangs = 0
        self._test: dict[str, Any] = {}
        self.errors: list[dict[str, str]] = []
        self.collected = False

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Collect only the files of the wanted tests; settings that end early are undone."""
        settle(config)
        if self._node_ids is not None:
            files = dict.fromkeys(node_id.partition("::")[0] for node_id in self._node_ids)
            config.args = [file for file in files if os.path.exists(file)]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected."""
        if report.failed:
            self.errors.append({"path": report.nodeid, "message": str(report.longrepr)[-2_000:]})

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave the wanted tests, each once, and add the canary at a place of its own."""
        wanted = None if self._node_ids is None else set(self._node_ids)
        chosen: dict[str, pytest.Item] = {}
        for item in items:
            if wanted is None or not wanted.isdisjoint(_names(item.nodeid)):
                chosen.setdefault(item.nodeid, item)
        kept = set(chosen.values())
        dropped = [item for item in items if item not in kept]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        items[:] = chosen.values()
        if self._canary is not None:
            place = sum(self._canary["name"].encode()) % (len(items) + 1)
            items.insert(place, Canary.of(session, self._canary))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell what will run."""
        self.collected = True
        node_ids = [item.nodeid for item in session.items]
        self._emit({"kind": "collected", "node_ids": node_ids, "errors": self.errors})

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        """Watch lines while tests run."""
        if self.lines is not None:
            self.lines.install()
        yield
        if self.lines is not None:  # or it was removed when too many tests hung
            self.lines.remove()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Tell of one test when all its phases are over."""
        self._test = {
            "kind": "test",
            "id": item.nodeid,
            "outcome": "",
            "seconds": 0.0,
            "exception": None,
        }
        if self.lines is not None:
            self.lines.start()
        began = time.perf_counter()
        yield
        self._test["seconds"] = round(time.perf_counter() - began, 6)
        self._test["outcome"] = self._test["outcome"] or "error"
        self._emit(self._test)
        if self.lines is not None:
            self._emit({"kind": "lines", "id": item.nodeid, "files": self.lines.stop()})
            self._count_hangs(self.lines)

    def _count_hangs(self, lines: Lines) -> None:
        """Watch no longer where tests hang: the lines of more of them would say the same."""
        self._hangs += _is_late(self._test)
        if self._hangs >= MOST_HANGS:
            lines.remove()
            self.lines = None

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        """Give the fixtures their own deadline."""
        with deadline(self._seconds):
            yield

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Give the test its deadline."""
        with deadline(self._seconds):
            yield

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        """Give the clean-up its own deadline."""
        with deadline(self._seconds):
            yield

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Keep the first exception of the test as a record."""
        yield
        if call.excinfo is not None and self._test.get("exception") is None:
            self._test["exception"] = describe(call.excinfo.value, self._cwd)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Fold the reports of all phases into one outcome; the worst one stays."""
        outcome = _outcome(report, self._test)
        if _RANK.index(outcome) > _RANK.index(self._test.get("outcome", "")):
            self._test["outcome"] = outcome
        if self._test.get("outcome") in ("passed", "skipped", "xfailed"):
            self._test["exception"] = self._test["exception"] if outcome == "xfailed" else None


def _names(node_id: str) -> list[str]:
    """Return what may name a test: its id, the same without parameters, its class, its file."""
    parts = node_id.partition("[")[0].split("::")
    return [node_id, *("::".join(parts[:count]) for count in range(1, len(parts) + 1))]


_RANK = ("", "passed", "skipped", "xfailed", "xpassed", "error", "failed")
"""Outcomes from mild to grave."""


def _is_late(test: dict[str, Any]) -> bool:
    exception = test.get("exception") or {}
    return bool(exception.get("type", "").endswith(".SelfdriveDeadline"))


def _outcome(report: pytest.TestReport, test: dict[str, Any]) -> str:
    if report.failed:
        return "failed" if _is_late(test) or report.when == "call" else "error"
    expected = hasattr(report, "wasxfail")
    if report.skipped:
        return "xfailed" if expected else "skipped"
    if report.when != "call":
        return ""
    return "xpassed" if expected else "passed"


class Canary(pytest.Item):
    """A test that must fail, through the same hooks as all others."""

    message = ""

    @classmethod
    def of(cls, session: pytest.Session, canary: dict[str, str]) -> Canary:
        """Return the canary as an item of this session."""
        made = cls.from_parent(session, name=canary["name"], nodeid=f"selfdrive::{canary['name']}")
        made.message = canary["message"]
        return made

    def runtest(self) -> None:
        """Fail."""
        raise AssertionError(self.message)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """Say where it stands: nowhere in the tree."""
        return "selfdrive", None, self.name


class Watcher:
    """A pytest plugin that watches lines in the phases of a test, innermost of all plugins."""

    def __init__(self, lines: Lines | None) -> None:
        self._lines = lines

    def _watching(self) -> AbstractContextManager[None]:
        return nullcontext() if self._lines is None else self._lines.watching()

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        """Watch the fixtures."""
        with self._watching():
            yield

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Watch the test."""
        with self._watching():
            yield

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        """Watch what the fixtures do at the end."""
        with self._watching():
            yield
