"""Which tests a change is held against: those that ran the function, or all."""

import pytest

from selfdrive_dagster.model import Ending
from selfdrive_dagster.patches.reach import Reach
from selfdrive_dagster.patches.suite import SuiteRun, TestResult
from selfdrive_dagster.patches.trying import change_of

SOURCE = """\
LIMIT = 3


def one(x=1):
    y = x + 1
    return y


class Box:
    size = 4

    def two(self):
        def inner():
            return 5

        return inner()
"""
LINES = {"one": [5, 6], "two": [13, 14, 16], "both": [5, 6, 13, 14, 16], "none": [1]}
CHANGES = {
    "a body": ("y = x + 1", "y = x + 2", ["one", "both"]),
    "a last line": ("return y", "return x", ["one", "both"]),
    "a function inside a method": ("return 5", "return 6", ["two", "both"]),
    "an added line": ("    return y\n", "    y += 1\n    return y\n", ["one", "both"]),
    "a module's name": ("LIMIT = 3", "LIMIT = 4", None),
    "a class's name": ("size = 4", "size = 5", None),
    "a default": ("x=1", "x=2", None),
    "two functions": (SOURCE[40:], SOURCE[40:].replace("y", "z").replace("5", "6"), None),
}


def run_of(lines: dict[str, list[int]]) -> SuiteRun:
    tests = {name: TestResult(outcome="passed", seconds=0.01 * n) for n, name in enumerate(lines)}
    return SuiteRun(
        ending=Ending.EXITED, exit=0, collected=tuple(lines), errors=(), tests=tests,
        lines={name: {"box.py": tuple(ran)} for name, ran in lines.items()},
        repeated=(), stderr="", seconds=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_held_against_the_tests_that_ran_its_function(name: str) -> None:
    old, new, expected = CHANGES[name]
    assert SOURCE.count(old) == 1
    reach = Reach({"box.py": SOURCE}, (), run_of(LINES))
    group = reach.group_of(change_of("box.py", SOURCE, SOURCE.replace(old, new)))
    chosen = None if group is None else [reach.suite[n] for n in reach.groups[group]]
    assert chosen == expected
