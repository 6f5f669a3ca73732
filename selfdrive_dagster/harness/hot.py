"""Where the time goes while tests run: samples of all threads, charged to the product's own lines.

A sampler looks at every thread's stack some hundred times a second and charges the innermost
frame of the product: what a library or a built-in does is charged to whoever called it. A test
client runs the application in a thread of its own, so a profile of one thread would see nothing.
Only the call phase of tests counts: fixtures are no workload.

Spec: `node_ids` (in the order in which they run), `args`, `sources` (folders of the product),
`seconds` in all, `samples` that are enough. Emits {"kind": "hot", "path", "function", "own",
"total", "lines": {line: samples}} for each function, {"kind": "outcome", "id", "outcome"} for each
test of the first round, and {"kind": "end", "exit", "samples"}, where `samples` are those with a
frame of the product.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from .fork import now
from .running import run_item, run_session
from .session import settle

Emit = Callable[[dict[str, Any]], None]
Place = tuple[str, str]
EVERY = 0.002
SWITCH = 0.0005
"""Seconds. The sampler must get its turn in the middle of a loop that never waits."""
TEST_SECONDS = 30.0


def main(spec: dict[str, Any], emit: Emit) -> int:
    """Run the tests round after round until there are samples enough; tell where they fell."""
    sampler = Sampler([os.path.abspath(one) for one in spec["sources"]])
    code = run_session(spec["node_ids"], spec.get("args", []), Rounds(spec, emit, sampler))
    for path, function in sampler.totals:
        place = (path, function)
        lines = {str(line): n for (at, line), n in sampler.lines.items() if at == place}
        told = {"path": path, "function": function, "own": sampler.own[place]}
        emit({"kind": "hot", **told, "total": sampler.totals[place], "lines": lines})
    emit({"kind": "end", "exit": code, "samples": sampler.samples})
    return code


class Sampler:
    """Counts samples while `running` is set."""

    def __init__(self, sources: list[str]) -> None:
        self.sources = tuple(one if one.endswith(".py") else one + os.sep for one in sources)
        self.running = threading.Event()
        self.over = False
        self.samples = 0
        self.own: Counter[Place] = Counter()
        self.totals: Counter[Place] = Counter()
        self.lines: Counter[tuple[Place, int]] = Counter()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        """Start the thread; it waits until a test runs."""
        sys.setswitchinterval(SWITCH)
        self.thread.start()

    def _look(self) -> None:
        mine = threading.get_ident()
        while not self.over:
            self.running.wait()
            for thread, frame in sys._current_frames().items():
                if thread != mine:
                    self._count(frame)
            time.sleep(EVERY)

    def _count(self, frame: FrameType | None) -> None:
        stack = [(one, line) for one, line in _stack(frame) if self._is_own(one)]
        if not stack:
            return
        self.samples += 1
        (place, line) = (_place(stack[0][0]), stack[0][1])
        self.own[place] += 1
        self.lines[place, line] += 1
        self.totals.update({_place(one) for one, _ in stack})

    def _is_own(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename.startswith(self.sources)


def _stack(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    while frame is not None:
        yield frame, frame.f_lineno or 0
        frame = frame.f_back


def _place(frame: FrameType) -> Place:
    """Return file and function of a frame; a comprehension belongs to the function around it."""
    code = frame.f_code
    name = code.co_qualname.split(".<locals>.<")[0]
    return os.path.relpath(code.co_filename).replace(os.sep, "/"), name


class Rounds:
    """A pytest plugin that runs the tests again and again, in their order."""

    def __init__(self, spec: dict[str, Any], emit: Emit, sampler: Sampler) -> None:
        self.spec = spec
        self.emit = emit
        self.sampler = sampler

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Undo settings that end a session early."""
        settle(config)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Any:
        """Sample while the test itself runs."""
        self.sampler.running.set()
        try:
            return (yield)
        finally:
            self.sampler.running.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run round after round."""
        found = {item.nodeid: item for item in session.items}
        items = [found[one] for one in self.spec["node_ids"] if one in found]
        end = now() + self.spec["seconds"]
        self.sampler.start()
        first = True
        while items and now() < end and (first or self.sampler.samples < self.spec["samples"]):
            for item, following in zip(items, [*items[1:], None], strict=True):
                outcome = run_item(item, following, TEST_SECONDS)
                if first:
                    self.emit({"kind": "outcome", "id": item.nodeid, "outcome": outcome})
            first = False
        self.sampler.over = True
        self.sampler.running.set()
        return True
