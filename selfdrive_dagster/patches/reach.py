"""Which tests can notice a change: those that ran lines of the function in which it stands.

What a test never calls cannot change what it sees. So a candidate that holds is not held against
all tests that reach its file, which would take longer than all else it costs; the gate runs the
whole suite. Changes outside of functions, or of a function's head, are held against all of them.

Belongs here: choosing tests by the lines they ran on base. Does not belong: running them.
"""

import ast
from functools import cache
from itertools import accumulate
from typing import Any

from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.syntax import FUNCTIONS, children, parse_quietly

REACHING_SECONDS = 10.0
"""What the tests that reach a file may take together on base: a survivor passes all of them, so
that what the whole suite would refuse is seldom taken for a repair."""


class Reach:
    """The tests of one job: `suite` reaches the files, a group of it their functions."""

    def __init__(self, texts: dict[str, str], own: tuple[str, ...], base: SuiteRun) -> None:
        self.texts, self.base = texts, base
        self.suite = _reaching(set(texts), set(own), base)
        self.groups: list[list[int]] = []
        """Numbers of tests in `suite`, for each function that is changed."""
        self._known: dict[tuple[str, int, int], int] = {}
        self._bodies = cache(self._read)

    def group_of(self, change: dict[str, Any]) -> int | None:
        """Return the number of the group that can notice a change, None for the whole suite."""
        path, text = change["path"], self.texts[change["path"]]
        first = text.count("\n", 0, change["start"]) + 1
        last = text.count("\n", 0, change["stop"]) + 1
        for begin, end in self._bodies(path):
            if begin <= first and last <= end:
                return self._group(path, begin, end)
        return None

    def _group(self, path: str, begin: int, end: int) -> int:
        if (path, begin, end) not in self._known:
            body = set(range(begin, end + 1))
            ran = (self.base.lines.get(test, {}).get(path, ()) for test in self.suite)
            self._known[path, begin, end] = len(self.groups)
            self.groups.append([n for n, lines in enumerate(ran) if not body.isdisjoint(lines)])
        return self._known[path, begin, end]

    def _read(self, path: str) -> tuple[tuple[int, int], ...]:
        """Return the bodies of a file's functions outside of functions, by their lines."""
        try:
            return tuple(_bodies(parse_quietly(self.texts[path])))
        except (SyntaxError, ValueError, RecursionError):
            return ()


def _bodies(node: ast.AST) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for one in children(node):
        if isinstance(one, FUNCTIONS):
            found.append((one.body[0].lineno, one.end_lineno or one.lineno))
        else:
            found += _bodies(one)
    return found


def _reaching(paths: set[str], own: set[str], base: SuiteRun) -> tuple[str, ...]:
    """Return passing tests that run lines of these files, the quickest first."""
    reaching = [
        node_id
        for node_id in base.with_outcome("passed")
        if node_id not in own and paths & set(base.lines.get(node_id, {}))
    ]
    reaching.sort(key=lambda node_id: base.tests[node_id].seconds)
    took = accumulate(base.tests[node_id].seconds for node_id in reaching)
    return tuple(i for i, sum_of in zip(reaching, took, strict=True) if sum_of <= REACHING_SECONDS)
