"""Try many candidates in one process: import and collect once, fork for each.

The parent is a zygote: pytest has collected, nothing has run. Most candidates fall in a screening,
several in one child (`screening`). What passes gets a child of its own, which swaps its code in,
runs the failing tests, then the others, and stops at the first failure. A survivor is only
*plausible*: a clean process must prove it.

Spec: `candidates` [{id, path, start, stop, text, group}], where `text` stands for what a file holds
from character `start` to `stop` (whole texts would make the process large, and large processes fork
slowly) and `group`, where there is one, is the number of a list in `groups` of numbers of tests in
`suite`, which are all that it needs; `targets` [node id], `suite` [node id], `args` [pytest
argument], `deadline_seconds` a test, `cpu_seconds` {node id: processor seconds at first},
`stop_after` survivors (0: never).
What takes long comes last, unless enough hold without it: changes beyond functions, which another
process imports (`cold`), and what passes its processor seconds, which is tried again with the
deadline alone, PATIENCE candidates at most.
Emits: {"kind": "trial", "id", "outcome": plausible | killed | hung | died | broken, "by",
"cold", "late"}, and {"kind": "end", "exit"} when all were tried or enough held. Nothing is tried
when a target cannot be collected: no test at all would "pass" on every candidate.
"""

from __future__ import annotations

import gc
import os
import unittest
from collections.abc import Callable
from typing import Any

import pytest

from . import fork, live
from .cold import Cold
from .fragments import Edit, Layout, layout
from .remains import Remains
from .running import Bounds, run_session, run_until
from .screening import Screening
from .session import settle
from .shortcuts import way_of

Emit = Callable[[dict[str, Any]], None]
Candidate = dict[str, Any]
Items = dict[str, pytest.Item]
PATIENCE = 12


def main(spec: dict[str, Any], emit: Emit) -> int:
    """Collect once and try every candidate; return pytest's exit code."""
    gc.disable()  # nothing that is made here is thrown away before a child ends
    node_ids = [*spec["targets"], *spec["suite"]]
    with Cold(spec.get("args", []), float(spec["deadline_seconds"])) as cold:
        code = run_session(node_ids, spec.get("args", []), Zygote(spec, emit, cold))
    emit({"kind": "end", "exit": code})
    return code


class Zygote:
    """A pytest plugin that forks in place of running."""

    def __init__(self, spec: dict[str, Any], emit: Emit, cold: Cold) -> None:
        self.spec = spec
        self.emit = emit
        self.cold = cold
        self.seconds = float(spec["deadline_seconds"])
        self.killers: list[str] = []
        self.survivors = 0
        self.alive: dict[str, live.Alive] = {}
        self.layouts: dict[str, Layout] = {}
        self.fit: set[str] = set()
        self.unfit: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Undo settings that end a session early."""
        settle(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Screen candidates, and fork for each that is not refused there."""
        items = {item.nodeid: item for item in session.items}
        if not items.keys() >= set(self.spec["targets"]):
            return True
        paths = {candidate["path"] for candidate in self.spec["candidates"]}
        self.alive = {path: live.living(path) for path in paths}
        self.layouts = {path: layout(path, read_text(path)) for path in paths}
        bounds = self.spec.get("cpu_seconds", {})
        for item in session.items:
            way_of(item)  # so that no child has to ask
        screening = self._screening([items[i] for i in self.spec["targets"]], bounds)
        gc.freeze()  # a collection in a child would copy every page that it looks at
        slow = self._try_all(self.spec["candidates"], items, bounds, screening)
        for candidate, cold in slow:
            if self._is_enough():
                break
            verdict = self._try_cold(candidate) if cold else self._try(candidate, items, None)
            self._tell(candidate, verdict, late=True)
        return True

    def _screening(self, targets: list[pytest.Item], bounds: Bounds) -> Screening:
        """Return the screening by the failing tests; what they keep on themselves is looked at."""
        kept = [getattr(one, "instance", None) for one in targets if _keeps_instance(one)]
        given = [one.callspec.params for one in targets if hasattr(one, "callspec")]
        return Screening(
            targets,
            Remains(os.getcwd(), [*kept, *given]),
            self._swap,
            lambda tests: run_until(tests, self.seconds, bounds),
            self._patience(len(targets)),
        )

    def _is_enough(self) -> bool:
        return 0 < int(self.spec.get("stop_after", 0)) <= self.survivors

    def _try_all(
        self, candidates: list[Candidate], items: Items, bounds: Bounds, screening: Screening
    ) -> list[tuple[Candidate, bool]]:
        """Try until enough hold; return those to try again, of which nothing was told, and whether
        they need a process of their own."""
        slow: list[tuple[Candidate, bool]] = []
        hung = 0
        screened: dict[str, dict[str, Any]] = {}
        for number, candidate in enumerate(candidates):
            if self._is_enough():
                break
            if number >= screening.reached:
                screened = screening.of(candidates[number:])
            verdict = screened.get(candidate["id"]) or self._try(candidate, items, bounds)
            ran_out = verdict["outcome"] == "hung" and bool(bounds) and hung < PATIENCE
            if ran_out or verdict["cold"]:
                slow.append((candidate, verdict["cold"]))
                hung += ran_out
                continue
            self._tell(candidate, verdict, late=False)
            if verdict["by"] in self.fit:
                screening.add(items[verdict["by"]])
        return slow

    def _tell(self, candidate: Candidate, verdict: dict[str, Any], *, late: bool) -> None:
        self.survivors += verdict["outcome"] == "plausible"
        told = {key: verdict[key] for key in ("outcome", "by", "cold")}
        self.emit({"kind": "trial", "id": candidate["id"], **told, "late": late})

    def _rest(self, candidate: Candidate) -> list[str]:
        """Return the tests besides the failing ones, those first that refused somebody."""
        left_out = self.unfit.union(self.spec["targets"])
        suite, group = self.spec["suite"], candidate.get("group")
        within = suite if group is None else [suite[n] for n in self.spec["groups"][group]]
        rest = [i for i in within if i not in left_out]
        rest.sort(key=lambda i: self.killers.index(i) if i in self.killers else len(self.killers))
        return rest

    def _try(self, candidate: Candidate, items: Items, bounds: Bounds | None) -> dict[str, Any]:
        targets = [items[i] for i in self.spec["targets"]]
        rest = [i for i in self._rest(candidate) if i in items]
        answer = fork.in_child(
            lambda: self._run_swapped(
                candidate, [*targets, *(items[i] for i in rest)], bounds or {}
            ),
            self._patience(len(targets)),
        )
        if isinstance(answer, fork.Lost):
            return {"outcome": answer.value, "by": "", "cold": False}
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
        answer = fork.in_child(
            lambda: run_until(before, self.seconds, bounds, stop=False), self._patience(len(before))
        )
        failed = set(rest) if isinstance(answer, fork.Lost) else set(answer["failed"])
        self.unfit |= failed & {by}
        self.fit |= {by} - failed
        return by in failed

    def _patience(self, tests: int) -> float:
        """Return the seconds that some tests may take in a child, all told."""
        return self.seconds * (tests + 2) + 30

    def _swap(self, candidate: Candidate) -> live.Swapped:
        path = candidate["path"]
        return live.swap(self.layouts[path], _edit(candidate), self.alive[path])

    def _run_swapped(
        self, candidate: Candidate, items: list[pytest.Item], bounds: Bounds
    ) -> dict[str, Any]:
        """Runs in a child: swap the candidate in, run the tests, stop at the first failure."""
        try:
            self._swap(candidate)
        except live.Cold:
            return {"outcome": "broken", "by": "", "cold": True}
        return run_until(items, self.seconds, bounds)

    def _try_cold(self, candidate: Candidate) -> dict[str, Any]:
        """Write the file, let another process import it, put the file back."""
        path, base = candidate["path"], self.layouts[candidate["path"]]
        _write_text(path, base.edited(_edit(candidate)))
        try:
            verdict = self.cold.run(self.spec["targets"])
            rest = self._rest(candidate)
            if verdict["outcome"] == "plausible" and rest:
                verdict = self.cold.run(rest)
        finally:
            _write_text(path, base.source)
        return {**verdict, "cold": True}


def _edit(candidate: Candidate) -> Edit:
    return Edit(candidate["start"], candidate["stop"], candidate["text"])


def _keeps_instance(item: pytest.Item) -> bool:
    """Say whether the object of a test's class lives on: unittest makes one for each run."""
    owner = getattr(item, "cls", None)
    return owner is not None and not issubclass(owner, unittest.TestCase)


def read_text(path: str) -> str:
    """Return a file's text with its line endings as they are."""
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
