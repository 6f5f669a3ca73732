"""Looks at what may hang, in threads of their own, so that the front's loop never waits."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

EVERY_SECONDS = 1.0
SOON_SECONDS = 0.1


class Look(Generic[Answer]):
    """One question, asked again and again; `newest` is the last answer, None before the first.

    `answers` counts them, so that who keeps count knows a new one.
    """

    def __init__(self, pool: ThreadPoolExecutor, question: Callable[[], Answer]) -> None:
        self.newest: Answer | None = None
        self.answers = 0
        self._pool = pool
        self._question = question
        self._asked: Future[Answer] | None = None
        self._next = time.monotonic()

    def poll(self, every_seconds: float = EVERY_SECONDS) -> bool:
        """Take an answer that has come, ask when it is time; say whether there is a new one."""
        fresh = False
        if self._asked is not None and self._asked.done():
            self.newest, self._asked = self._asked.result(), None
            self.answers += 1
            self._next = time.monotonic() + every_seconds
            fresh = True
        if self._asked is None and time.monotonic() >= self._next:
            self._asked = self._pool.submit(self._question)
        return fresh
