"""Try many candidates in one process: import and collect once, fork for each.

The parent is a zygote: pytest has collected, nothing has run. Each child swaps one
candidate's code in, runs the failing tests, then the others, and stops at the first
failure. A survivor is only *plausible*: a clean process must prove it.

Spec: `candidates` [{id, path, start, stop, text}], where `text` stands for what a file holds from
character `start` to `stop` (whole texts would make the process large, and large processes fork
slowly), `targets` [node id], `suite` [node id], `args` [pytest argument], `deadline_seconds` a
test, `cpu_seconds` {node id: processor seconds at first}, `stop_after` survivors (0: never). What
takes long comes last, unless enough hold without it: changes beyond functions, which need a
process of their own, and what passes its processor seconds, which is tried again with the deadline
alone, PATIENCE candidates at most.
Emits: {"kind": "trial", "id", "outcome": plausible | killed | hung | died | broken, "by",
"cold"}, and {"kind": "end", "exit"} when all were tried or enough held. Nothing is tried when a
target cannot be collected: no test at all would "pass" on every candidate.
"""

from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from . import fork, live
from .fragments import Layout, layout
from .session import SelfdriveDeadline, Unreported, arguments, chain, deadline, settle

Emit = Callable[[dict[str, Any]], None]
Candidate = dict[str, Any]
Items = dict[str, pytest.Item]
Bounds = dict[str, float]
PATIENCE = 12
PLAIN = "--assert=plain"
"""Asserts as Python has them: rewriting the tests for better words takes longer than they do."""


def main(spec: dict[str, Any], emit: Emit) -> int:
    """Collect once and try every candidate; return pytest's exit code."""
    node_ids = [*spec["targets"], *spec["suite"]]
    code = run_session(node_ids, spec.get("args", []), Zygote(spec, emit))
    emit({"kind": "end", "exit": code})
    return code


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


class Zygote:
    """A pytest plugin that forks in place of running."""

    def __init__(self, spec: dict[str, Any], emit: Emit) -> None:
        self.spec = spec
        self.emit = emit
        self.killers: list[str] = []
        self.survivors = 0
        self.alive: dict[str, live.Alive] = {}
        self.layouts: dict[str, Layout] = {}
        self.plain: set[str] = set()
        self.fit: set[str] = set()
        self.unfit: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Undo settings that end a session early."""
        settle(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Fork once for each candidate."""
        items = {item.nodeid: item for item in session.items}
        if not items.keys() >= set(self.spec["targets"]):
            return True
        paths = {candidate["path"] for candidate in self.spec["candidates"]}
        self.alive = {path: live.living(path) for path in paths}
        self.layouts = {path: layout(path, read_text(path)) for path in paths}
        self.plain = {node_id for node_id, item in items.items() if is_plain(item)}
        gc.freeze()  # a collection in a child would copy every page that it looks at
        gc.disable()
        slow = self._try_all(self.spec["candidates"], items, self.spec.get("cpu_seconds", {}))
        self._try_all(slow, items, None)
        return True

    def _try_all(
        self, candidates: list[Candidate], items: Items, bounds: Bounds | None
    ) -> list[Candidate]:
        """Try until enough hold; return those to try again, of which nothing was told.

        With None for bounds nothing is put off.
        """
        slow: list[Candidate] = []
        hung = 0
        for candidate in candidates:
            if 0 < self.spec.get("stop_after", 0) <= self.survivors:
                break
            verdict = self._try(candidate, items, bounds)
            ran_out = verdict["outcome"] == "hung" and bool(bounds) and hung < PATIENCE
            if bounds is not None and (ran_out or verdict["cold"]):
                slow.append(candidate)
                hung += ran_out
                continue
            self.survivors += verdict["outcome"] == "plausible"
            told = {key: verdict[key] for key in ("outcome", "by", "cold")}
            self.emit({"kind": "trial", "id": candidate["id"], **told})
        return slow

    def _try(self, candidate: Candidate, items: Items, bounds: Bounds | None) -> dict[str, Any]:
        targets = [items[i] for i in self.spec["targets"]]
        left_out = self.unfit.union(self.spec["targets"])
        rest = [i for i in self.spec["suite"] if i in items and i not in left_out]
        rest.sort(key=lambda i: self.killers.index(i) if i in self.killers else len(self.killers))
        seconds = self.spec["deadline_seconds"]
        answer = fork.in_child(
            lambda: self._run_swapped(
                candidate, [*targets, *(items[i] for i in rest)], bounds or {}
            ),
            patience=seconds * (len(targets) + 2) + 30,
        )
        if isinstance(answer, fork.Lost):
            return {"outcome": answer.value, "by": "", "cold": False}
        if answer["cold"] and bounds is None:
            answer = self._try_cold(candidate, [*self.spec["targets"], *rest])
        if answer["by"] in rest:
            if self._is_unfit(answer["by"], rest, items, bounds or {}):
                return self._try(candidate, items, bounds)
            self.killers = [answer["by"], *(k for k in self.killers if k != answer["by"])]
        return dict(answer)

    def _is_unfit(self, by: str, rest: list[str], items: Items, bounds: Bounds) -> bool:
        """Say whether a test that refused a candidate refuses the base here too.

        A fork is not a suite's process: what a test finds there may differ. It is asked once, with
        the tests that ran before it, and left out if it fails.
        """
        if by in self.fit:
            return False
        before = [items[i] for i in rest[: rest.index(by) + 1]]
        patience = self.spec["deadline_seconds"] * (len(before) + 1) + 30
        answer = fork.in_child(lambda: self._run(before, bounds, stop=False), patience)
        failed = set(rest) if isinstance(answer, fork.Lost) else set(answer["failed"])
        self.unfit |= failed & {by}
        self.fit |= {by} - failed
        return by in failed

    def _run_swapped(
        self, candidate: Candidate, items: list[pytest.Item], bounds: Bounds
    ) -> dict[str, Any]:
        """Runs in a child: swap the candidate in, run the tests, stop at the first failure."""
        path = candidate["path"]
        try:
            live.swap(self.layouts[path], self._source(candidate), self.alive[path])
        except live.Cold:
            return {"outcome": "broken", "by": "", "cold": True}
        return self._run(items, bounds, stop=True)

    def _run(self, items: list[pytest.Item], bounds: Bounds, *, stop: bool) -> dict[str, Any]:
        """Run tests in turn, to the first failure or to the end."""
        told: dict[str, Any] = {"outcome": "plausible", "by": "", "cold": False, "failed": []}
        for item, following in zip(items, [*items[1:], None], strict=True):
            run = run_plain if item.nodeid in self.plain else run_item
            bound = bounds.get(item.nodeid)
            outcome = run(item, following, self.spec["deadline_seconds"], bound)
            if outcome != "passed":
                told["failed"].append(item.nodeid)
                if stop:
                    return {**told, "outcome": outcome, "by": item.nodeid}
        return told

    def _source(self, candidate: Candidate) -> str:
        base = self.layouts[candidate["path"]].source
        return f"{base[: candidate['start']]}{candidate['text']}{base[candidate['stop'] :]}"

    def _try_cold(self, candidate: Candidate, node_ids: list[str]) -> dict[str, Any]:
        """Write the file, run a fresh pytest, put the file back."""
        path, original = candidate["path"], read_text(candidate["path"])
        command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        _write_text(path, self._source(candidate))
        try:
            done = subprocess.run(
                [*command, *self.spec.get("args", []), PLAIN, *node_ids],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self.spec["deadline_seconds"] * 3 + 30,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"outcome": "hung", "by": "", "cold": True}
        finally:
            _write_text(path, original)
        outcome = "plausible" if done.returncode == 0 else "killed"
        return {"outcome": outcome, "by": "", "cold": True}


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


def is_plain(item: pytest.Item) -> bool:
    """Say whether a test is no more than its function: no fixture, no mark, no foreign hook."""
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


def read_text(path: str) -> str:
    """Return a file's text with its line endings as they are."""
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
