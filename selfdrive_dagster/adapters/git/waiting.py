"""How long the network may keep somebody waiting who has other things to look at.

One round of work shares its seconds among all its calls; whoever used them up rests before the
remote is asked again, so that a slow one costs little of each minute. Without limits, as
everybody has it who waits for nothing else, a call ends by its own time alone.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from selfdrive_dagster.errors import Busy


class Waiting:
    """The patience of one user of a repository. Not thread-safe."""

    def __init__(
        self,
        most_seconds: float = float("inf"),
        rest_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most_seconds
        self._rest = rest_seconds
        self._clock = clock
        self._left = most_seconds
        self._again = float("-inf")

    def begin(self) -> None:
        """Begin a round: it has all its seconds again."""
        self._left = self._most

    @contextmanager
    def spending(self) -> Iterator[float]:
        """Give the seconds that a call may take, and take what it took.

        Raises Busy when there are none, or while it rests.
        """
        begun = self._clock()
        if self._left <= 0 or begun < self._again:
            raise Busy("The remote took too long just now; it is asked again soon.")
        try:
            yield self._left
        finally:
            self._left -= self._clock() - begun
            if self._left <= 0:
                self._again = self._clock() + self._rest
