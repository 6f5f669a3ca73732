"""How long the same tests take on two trees, measured in turn.

Two sessions collect the same tests, one in the tree as it stands, one in a copy with the patched
files: both import what they really hold. The parent asks them in turn (base, patch, patch, base)
and each answers from a fresh fork, so nothing that one run leaves behind, a filled cache above
all, helps the next. Timed is the call phase of tests; fixtures are no workload.

Spec: `node_ids` (in order, repeats allowed), `args`, `patched` {path: text}, `pairs` at most,
`least` pairs, `seconds`. Emits {"kind": "pair", "base", "patch"} in seconds,
{"kind": "broken", "side", "outcome"} when a run of the tests did not pass, and
{"kind": "end", "exit"}.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytest

from . import fork
from .running import run_item, run_session
from .session import settle

Emit = Callable[[dict[str, Any]], None]
TEST_SECONDS = 60.0
ONCE = b"."


class Side:
    """A session in a child process that times the tests whenever it is asked."""

    def __init__(self, spec: dict[str, Any], tree: str) -> None:
        asks, self._ask = os.pipe()
        self._answers, answers = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            status = 1
            try:
                os.close(self._ask)
                os.close(self._answers)
                move(tree)
                run_session(spec["node_ids"], spec.get("args", []), Timer(spec, asks, answers))
                status = 0
            finally:
                os._exit(status)
        os.close(asks)
        os.close(answers)
        self._file = os.fdopen(self._answers, encoding="utf-8")

    def once(self) -> dict[str, Any]:
        """Return {"outcome", "seconds"} of one run of all tests."""
        try:
            os.write(self._ask, ONCE)
            return dict(json.loads(self._file.readline()))
        except (OSError, ValueError):
            return {"outcome": "died", "seconds": 0.0}

    def close(self) -> None:
        """End the session."""
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


def main(spec: dict[str, Any], emit: Emit) -> int:
    """Time both sides in turn until there are pairs enough, or no time."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        there = os.path.join(folder, "patched")
        shutil.copytree(here, there, symlinks=True)
        for path, text in spec["patched"].items():
            with open(os.path.join(there, path), "w", encoding="utf-8", newline="") as file:
                file.write(text)
        sides = {"base": Side(spec, here), "patch": Side(spec, there)}
        _pairs(sides, spec, emit)
        for side in sides.values():
            side.close()
    emit({"kind": "end", "exit": 0})
    return 0


def _pairs(sides: dict[str, Side], spec: dict[str, Any], emit: Emit) -> None:
    end = fork.now() + spec["seconds"]
    for number in range(
        -1, spec["pairs"]
    ):  # the first pair warms the disk's cache, and is not told
        if number >= spec["least"] and fork.now() > end:
            return
        pair: dict[str, Any] = {}
        for name in ("base", "patch") if number % 2 else ("patch", "base"):
            told = sides[name].once()
            if told["outcome"] != "passed":
                emit({"kind": "broken", "side": name, "outcome": told["outcome"]})
                return
            pair[name] = told["seconds"]
        if number >= 0:
            emit({"kind": "pair", **pair})


def move(tree: str) -> None:
    """Go to another tree: import from there what would have been imported from here."""
    here = os.getcwd()
    sys.path[:] = [_moved(one, here, tree) for one in sys.path]
    roots = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(_moved(one, here, tree) for one in roots)
    os.chdir(tree)


def _moved(path: str, here: str, there: str) -> str:
    return there + path[len(here) :] if path == here or path.startswith(here + os.sep) else path


class Timer:
    """A pytest plugin that runs the tests when it is asked, each time in a fork."""

    def __init__(self, spec: dict[str, Any], asks: int, answers: int) -> None:
        self.spec = spec
        self.asks = asks
        self.answers = answers
        self.seconds = 0.0

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Undo settings that end a session early."""
        settle(config)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Any:
        """Time the test itself."""
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds += time.perf_counter() - began

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer until nobody asks any more."""
        found = {item.nodeid: item for item in session.items}
        items = [found[one] for one in self.spec["node_ids"] if one in found]
        complete = len(items) == len(self.spec["node_ids"])
        gc.collect()
        gc.freeze()
        while os.read(self.asks, 1):
            patience = TEST_SECONDS * (len(items) + 1)
            told = fork.in_child(lambda: self._run(items), patience) if complete else None
            if not isinstance(told, dict):
                told = {"outcome": "died" if complete else "not collected", "seconds": 0.0}
            os.write(self.answers, json.dumps(told).encode() + b"\n")
        return True

    def _run(self, items: list[pytest.Item]) -> dict[str, Any]:
        for item, following in zip(items, [*items[1:], None], strict=False):
            # pytest keeps what the next test needs: the same test again needs all of it anew.
            outcome = run_item(item, None if following is item else following, TEST_SECONDS)
            if outcome != "passed":
                return {"outcome": outcome, "seconds": self.seconds}
        return {"outcome": "passed", "seconds": self.seconds}
