"""Screen candidates: several in one child, against the few tests that refuse nearly all of them.

A process of its own for each candidate costs more than most tests. A child that swaps candidates
in and out one after another costs one process for all of them, as mutation testing does it (split
streams; Tokumoto and others, ICST 2016), and is right as long as nothing that one candidate leaves
behind reaches the next. So the child looks now and then (`remains`): if anything differs, what it
said since is thrown away and those are tried alone. What passes is tried alone in any case.

Belongs here: who is screened together, and what may be believed. Does not belong: running tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from . import fork, live
from .remains import Remains

Candidate = dict[str, Any]
Verdict = dict[str, Any]
FEWEST, MOST = 4, 64
"""Candidates in one child: few at first, so that the first answers come soon."""

LOOKED_AT = 16
"""Candidates between two looks in one child."""

MISSES = 3
"""Children that left something behind, less those that did not, until all go alone."""

ENOUGH = 12
"""Failing tests that are asked in a screening, of those that come first, the cheapest."""

HELPERS = 3
"""Tests that refused candidates before and are asked in a screening too, at most."""

TOLD = ("killed", "hung", "broken")
"""What is believed; what passes is tried alone."""


class Screening:
    """Tries batches of candidates against some tests.

    `swap(candidate)` puts a candidate in and `run(tests)` runs tests up to the first failure;
    `patience` are the seconds that this may take.
    """

    def __init__(
        self,
        targets: list[pytest.Item],
        remains: Remains,
        swap: Callable[[Candidate], live.Swapped],
        run: Callable[[list[pytest.Item]], Verdict],
        patience: float,
    ) -> None:
        self.tests = targets[:ENOUGH]
        self.remains, self.swap, self.run, self.patience = remains, swap, run, patience
        self.size, self.misses, self.helpers, self.reached = FEWEST, 0, 0, 0
        if not (remains.fit and self._leaves_nothing(self.tests)):
            self.misses = MISSES

    def add(self, test: pytest.Item) -> None:
        """Ask one more test, which passes on the base, where it leaves nothing behind."""
        if self.misses < MISSES and self.helpers < HELPERS and test not in self.tests:
            self.helpers += 1
            self.tests += [test] * self._leaves_nothing([test])

    def of(self, candidates: list[Candidate]) -> dict[str, Verdict]:
        """Return what can be said of the first candidates, by id: who was refused, who is cold.

        Of one that is not among them nothing is known. `reached` tells how many were looked at.
        """
        if self.misses >= MISSES:
            return {}
        batch = candidates[: self.size]
        answer = fork.in_child(lambda: self._screen(batch), self.patience + len(batch))
        if isinstance(answer, fork.Lost):
            answer = {"told": {}, "clean": False, "looked_at": len(batch)}
        self.reached += answer["looked_at"]
        if answer["clean"]:
            self.size = min(2 * self.size, MOST)
            self.misses = max(0, self.misses - 1)
        else:
            self.size = FEWEST
            self.misses += 1
        return dict(answer["told"])

    def _screen(self, batch: list[Candidate]) -> dict[str, Any]:
        """Runs in a child: try each, undo it, and look now and then whether anything is left.

        What was said since the last look that found nothing is forgotten, and no more is tried.
        """
        told: dict[str, Verdict] = {}
        self.remains.begin()
        for start in range(0, len(batch), LOOKED_AT):
            part = {
                candidate["id"]: verdict
                for candidate in batch[start : start + LOOKED_AT]
                if (verdict := self._verdict(candidate))["outcome"] in TOLD
            }
            if not self.remains.same():
                looked_at = min(start + LOOKED_AT, len(batch))
                return {"told": told, "clean": False, "looked_at": looked_at}
            told |= part
        return {"told": told, "clean": True, "looked_at": len(batch)}

    def _verdict(self, candidate: Candidate) -> Verdict:
        try:
            swapped = self.swap(candidate)
        except live.Cold:
            return {"outcome": "broken", "by": "", "cold": True}
        verdict = self.run(self.tests)
        live.restore(swapped)
        return verdict

    def _leaves_nothing(self, tests: list[pytest.Item]) -> bool:
        """Say whether the base leaves nothing behind when it runs these tests."""
        answer = fork.in_child(lambda: self._look(tests), self.patience)
        return answer is True

    def _look(self, tests: list[pytest.Item]) -> bool:
        self.remains.begin()
        for test in tests:
            self.run([test])
        return self.remains.same()
