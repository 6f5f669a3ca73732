"""Equal answers and assumptions: any difference fails, and what is unknown is no pass."""

from typing import Any

import pytest

from selfdrive_dagster.model import Ending, Ran, SandboxLevel
from selfdrive_dagster.patches.improve import Target
from selfdrive_dagster.validation.improve.equality import (
    judge_answers,
    judge_assumptions,
    read_answers,
)

KEYED = Target(path="a.py", function="f", keys=("word",), deterministic=True)


def answer(number: int, **more: Any) -> dict[str, Any]:
    base = {"kind": "answer", "target": "f", "key": f"call {number // 4}", "input": number % 4,
            "shown": f"n={number}", "how": "returned", "value": f"int:{number}", "after": "same",
            "before": "same", "again": True}  # fmt: skip
    return {**base, **more}


def ran(lines: list[dict[str, Any]], *more: dict[str, Any]) -> Ran:
    end = {"kind": "end", "exit": 0}
    return Ran(ending=Ending.EXITED, status=0, lines=(*lines, *more, end), stderr="", seconds=1.0,
               level=SandboxLevel.FULL)  # fmt: skip


BASE = [answer(number) for number in range(12)]


@pytest.mark.parametrize(
    ("patch", "passed"),
    [
        (BASE, True),
        ([*BASE[:-1], answer(11, value="int:12")], False),
        ([*BASE[:-1], answer(11, after="changed")], False),
        ([*BASE[:-1], answer(11, how="raised", type="TypeError")], False),
        ([*BASE[:-1], answer(11, again=False)], False),
        (BASE[:-1], None),
        ([*BASE[:-1], answer(11, how="hung")], None),
        ([*BASE, {"kind": "lost", "target": "f"}], None),
        ([*BASE, {"kind": "test", "id": "t", "outcome": "killed"}], None),
    ],
)
def test_one_difference_is_enough(patch: list[dict[str, Any]], passed: bool | None) -> None:
    check = judge_answers(read_answers(ran(BASE)), read_answers(ran(patch)))
    assert check.passed is passed, check.says


def test_a_few_answers_show_nothing() -> None:
    few = read_answers(ran(BASE[:4]))
    assert judge_answers(few, few).passed is None


def test_raised_exceptions_are_answers_too() -> None:
    base = read_answers(ran([*BASE, answer(12, how="raised", type="ValueError")]))
    patch = read_answers(ran([*BASE, answer(12, how="raised", type="KeyError")]))
    assert judge_answers(base, base).passed is True
    assert judge_answers(base, patch).passed is False


def kinds(name: str, types: str) -> dict[str, Any]:
    return {"kind": "types", "target": "f", "name": name, "types": types}


@pytest.mark.parametrize(
    ("target", "lines", "told", "passed"),
    [
        (KEYED, BASE, [kinds("word", "str")], True),
        (KEYED, BASE, [kinds("word", "str"), kinds("word", "float")], False),
        (KEYED, BASE, [kinds("word", "list[int]")], False),
        (KEYED, BASE, [], None),
        (KEYED, [*BASE, answer(12, again=False)], [kinds("word", "str")], False),
        (KEYED, [*BASE, answer(12, after="other")], [kinds("word", "str")], False),
        (
            Target(path="a.py", function="f", elements=("seen",)),
            BASE,
            [kinds("seen", "tuple[int|str]")],
            True,
        ),
        (
            Target(path="a.py", function="f", elements=("seen",)),
            BASE,
            [kinds("seen", "list[int]|shop.models.Product")],
            False,
        ),
    ],
)
def test_what_recorded_calls_show_of_the_assumptions(
    target: Target, lines: list[dict[str, Any]], told: list[dict[str, Any]], passed: bool | None
) -> None:
    check = judge_assumptions(read_answers(ran(lines, *told)), target)
    assert check.passed is passed, check.says
