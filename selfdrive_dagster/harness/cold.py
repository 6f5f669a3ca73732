"""A process that has imported pytest and nothing of the product, and forks to try what cannot be
swapped in: module level, class bodies, decorators, files that cannot be imported as they are.

It is forked off before anything is collected. A child of it imports the product as it stands on
the disk then, which costs the product's import and not also that of Python and pytest.

Belongs here: asking such a process. Does not belong: what stands on the disk.
"""

from __future__ import annotations

import json
import os
import signal
from types import TracebackType
from typing import Any

import pytest

from . import fork
from .running import run_session, run_until
from .session import settle

Verdict = dict[str, Any]

HASTY = ("-p", "no:unraisableexception")
"""Options without the plugin that collects garbage several times when a session ends."""


class Cold:
    """Asks the process, which ends with the `with` block."""

    def __init__(self, args: list[str], seconds: float) -> None:
        self.args, self.seconds = args, seconds
        asked, asking = os.pipe()
        answered, answering = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                os.close(asking)
                os.close(answered)
                self._serve(asked, answering)
            finally:
                os._exit(0)
        os.close(asked)
        os.close(answering)
        self.asking = os.fdopen(asking, "w", encoding="utf-8")
        self.answers = os.fdopen(answered, encoding="utf-8")

    def __enter__(self) -> Cold:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        os.kill(self.child, signal.SIGKILL)  # a stray child of a trial may hold its pipe open
        self.asking.close()
        self.answers.close()
        os.waitpid(self.child, 0)

    def run(self, node_ids: list[str]) -> Verdict:
        """Run tests up to the first failure: `outcome` is plausible, killed, hung or died, and `by`
        is the test. A test that cannot be collected refuses as one that fails."""
        self.asking.write(json.dumps(node_ids) + "\n")
        self.asking.flush()
        return dict(json.loads(self.answers.readline()))

    def _serve(self, asked: int, answering: int) -> None:
        with os.fdopen(asked) as asks, os.fdopen(answering, "w") as answers:
            for line in asks:
                answers.write(json.dumps(self._answer(json.loads(line))) + "\n")
                answers.flush()

    def _answer(self, node_ids: list[str]) -> Verdict:
        patience = self.seconds * 3 + 30
        told = fork.in_child(lambda: self._collected(node_ids), patience)
        return {"outcome": told.value, "by": ""} if isinstance(told, fork.Lost) else told

    def _collected(self, node_ids: list[str]) -> Verdict:
        """Runs in a child: collect and run."""
        once = Once(node_ids, self.seconds)
        run_session(node_ids, [*self.args, *HASTY], once)
        return {"outcome": once.told["outcome"], "by": once.told["by"]}


class Once:
    """A pytest plugin that runs some tests up to the first failure, and all or none."""

    def __init__(self, node_ids: list[str], seconds: float) -> None:
        self.node_ids, self.seconds = node_ids, seconds
        self.told: Verdict = {"outcome": "killed", "by": ""}

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Undo settings that end a session early."""
        settle(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run them where all were collected."""
        items = {item.nodeid: item for item in session.items}
        if items.keys() >= set(self.node_ids):
            self.told = run_until([items[i] for i in self.node_ids], self.seconds, {})
        return True
