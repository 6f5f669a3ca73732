"""Which passing tests and good calls reach the code that a patch changes, nearest first."""

from collections.abc import Iterable
from itertools import zip_longest

from selfdrive_dagster.model import Way
from selfdrive_dagster.patches.suite import Lines
from selfdrive_dagster.validation.checks import Case, Oracles

MOST_TESTS = 12
MOST_CALLS = 6


def reaching_tests(path: str, case: Case) -> tuple[str, ...]:
    """Return passing tests that run lines of a file, those that run fewest files first.

    Every second one sends a good call of production, while there are such.
    """
    reproducing = set(case.reproducer.node_ids)
    own = [i for i in case.base.with_outcome("passed") if i not in reproducing]
    oracles = vouching(case)
    calls = _nearest(path, oracles.node_ids, oracles.lines)[:MOST_CALLS] if oracles else []
    pairs = zip_longest(_nearest(path, own, case.base.lines)[:MOST_TESTS], calls)
    return tuple(one for pair in pairs for one in pair if one is not None)


def vouching(case: Case) -> Oracles | None:
    """Return the good calls, unless the patch is meant to change what functions return."""
    return None if case.reproducer.way is Way.FAILING_TEST else case.oracles


def _nearest(path: str, node_ids: Iterable[str], lines: dict[str, Lines]) -> list[str]:
    reaching = [node_id for node_id in node_ids if path in lines.get(node_id, {})]
    return sorted(reaching, key=lambda node_id: len(lines[node_id]))
