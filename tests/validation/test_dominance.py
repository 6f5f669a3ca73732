"""Which behaviour dominates, and how sure that makes us; what a patch's own mutants are."""

import ast
import difflib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.model import Candidate, Check, Claim, Reproducer, Way
from selfdrive_dagster.patches.lengths import size_of
from selfdrive_dagster.validation import confidence
from selfdrive_dagster.validation.dominance import Standing, standings
from selfdrive_dagster.validation.mutating import MOST, Noticed, mutants
from selfdrive_dagster.validation.neighbours import Comparison, Neighbour

FAILING = Reproducer(
    way=Way.FAILING_TEST,
    path="test_it.py",
    source=None,
    node_ids=("test_it.py::test_it",),
    exception_type="AssertionError",
    function="",
    target_path="",
)
ONE = {"how": "returned", "value": "int:1", "after": ""}
TWO = {**ONE, "value": "int:2"}
UNSETTLED = {"how": "unsettled"}


def candidate(name: str, path: str = "app.py") -> Candidate:
    return Candidate(
        id=name, generator="t", family="t", path=path, line=1, function="f", patch=name,
        claim=Claim.REPAIR, invented="",
    )  # fmt: skip


def compared(*inputs: dict[str, Any], recorded: bool = False) -> Comparison:
    neighbours = tuple(
        Neighbour(test="t", shown=f"n={n}", recorded=recorded, base=ONE, variants=variants)
        for n, variants in enumerate(inputs)
    )
    return Comparison(neighbours=neighbours, incomparable=frozenset(), reproducer=FAILING)


def standing(sizes: dict[str, float], *inputs: dict[str, Any]) -> dict[str, Standing]:
    return standings(tuple(map(candidate, sizes)), sizes, {"app.py": compared(*inputs)})


Given = tuple[dict[str, float], list[dict[str, Any]], dict[str, bool]]
VOTES: dict[str, Given] = {
    "alone": ({"a": 5}, [{"a": ONE}], {"a": True}),
    "all behave alike": ({"a": 1, "b": 9}, [{"a": ONE, "b": ONE}], {"a": True, "b": True}),
    "a short one against two long ones": (
        {"a": 1, "b": 4, "c": 4},
        [{"a": ONE, "b": TWO, "c": TWO}],
        {"a": True, "b": False, "c": False},
    ),
    "one way to write it against many": (
        {"a": 2, "b": 4, "c": 4, "d": 4},
        [{"a": ONE, "b": TWO, "c": TWO, "d": TWO}],
        {"a": True, "b": False, "c": False, "d": False},
    ),
    "twice as likely is not enough": (
        {"a": 2, "b": 3},
        [{"a": ONE, "b": TWO}],
        {"a": False, "b": False},
    ),
    "two of equal length": ({"a": 2, "b": 2}, [{"a": ONE, "b": TWO}], {"a": False, "b": False}),
    "an unsettled answer tells nothing": (
        {"a": 2, "b": 2},
        [{"a": ONE, "b": UNSETTLED}, {"a": TWO, "b": TWO}],
        {"a": True, "b": True},
    ),
}


@pytest.mark.parametrize("name", VOTES)
def test_most_of_the_weight_dominates(name: str) -> None:
    sizes, inputs, wanted = VOTES[name]
    found = standing(sizes, *inputs)
    assert {one: bool(each.check().passed) for one, each in found.items()} == wanted


def test_the_answer_that_differs_is_told_and_real_inputs_come_first() -> None:
    made_up = compared({"a": ONE, "b": TWO}).neighbours
    real = compared({"a": TWO, "b": {"how": "raised", "type": "KeyError"}}, recorded=True)
    both = Comparison(
        neighbours=made_up + real.neighbours, incomparable=frozenset(), reproducer=FAILING
    )
    pair = (candidate("a"), candidate("b"))
    found = standings(pair, {"a": 1.0, "b": 1.0}, {"app.py": both})
    assert found["a"].told == "on (n=0) this one returned int:2, another raised KeyError"


def test_repairs_of_two_files_are_never_one_behaviour() -> None:
    pair = (candidate("a"), candidate("b", "other.py"))
    given = {"app.py": compared({"a": ONE}), "other.py": compared({"b": ONE})}
    found = standings(pair, {"a": 1.0, "b": 1.0}, given)
    assert [each.check().passed for each in found.values()] == [False, False]
    assert "in another file" in found["a"].check().says


@given(
    sizes=st.lists(st.floats(1, 40), min_size=1, max_size=8),
    answers=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_the_shares_of_behaviours_make_one(sizes: list[float], answers: list[int]) -> None:
    names = {f"c{n}": size for n, size in enumerate(sizes)}
    told = {name: {**ONE, "value": str(answers[n])} for n, name in enumerate(names)}
    found = standing(names, told)
    shares = {told[name]["value"]: each.share for name, each in found.items()}
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(each.check().passed is True for each in found.values()) in (
        0, *(each.agreeing for each in found.values()),
    )  # fmt: skip


SIZES = {
    "an operator": ("    return a < b\n", "    return a > b\n", 1),
    "a name and an operator": ("    return a < b\n", "    return c > b\n", 2),
    "a condition more": ("    if a:\n", "    if a and b:\n", 4),
    "a line less": ("    x = 1\n    y\n", "    y\n", 5),
    "space alone": ("a+b\n", "a + b\n", 1),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_size_of_an_edit_counts_changed_tokens(name: str) -> None:
    old, new, size = SIZES[name]
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), "a/x.py", "b/x.py")
    assert size_of("".join(lines)) == size


def neighbours(agreed: int, differed: int = 0) -> Check:
    return Check(
        name="neighbours", passed=True, says="", numbers={"agreed": agreed, "differed": differed}
    )


STANDING = Standing(share=0.8, rivals=3, agreeing=2, groups=2, told="")
SURE: dict[str, tuple[Standing | None, Check | None, Noticed | None, float]] = {
    "nothing is known": (None, None, None, 0.0),
    "agreement alone": (STANDING, None, None, 0.8),
    "seven recorded calls": (STANDING, neighbours(7), None, 0.72),
    "six of eight recorded calls": (STANDING, neighbours(6, 2), None, 0.582),
    "all mutants noticed": (STANDING, neighbours(7), Noticed(made=4, killed=4), 0.72),
    "no mutant noticed": (STANDING, neighbours(7), Noticed(made=4, killed=0), 0.36),
    "no call of a passing test": (STANDING, neighbours(0), None, 0.534),
    "no mutant to be had": (STANDING, neighbours(7), Noticed(made=0, killed=0), 0.72),
}


@pytest.mark.parametrize("name", SURE)
def test_the_confidence_is_the_product_of_what_is_known(name: str) -> None:
    standing, replayed, noticed, wanted = SURE[name]
    found = confidence.confidence(standing, replayed, noticed, mended=1)
    assert found.value == pytest.approx(wanted)
    assert [part.name for part in found.parts] == ["agreement", "witnesses", "mutants"]
    sure = confidence.check(Claim.REPAIR, found, 0.5)
    assert sure.passed is (True if wanted >= 0.5 else None)
    assert confidence.check(Claim.MITIGATION, found, 0.5).passed


BEFORE = "def f(a, b):\n    s = 'ä'\n    if a > b:\n        return 1\n    return a + 2\n"
PATCHED = BEFORE.replace("a > b", "a >= len(b)")


def test_mutants_change_the_new_lines_only_and_never_back_to_the_base() -> None:
    made = mutants(BEFORE, PATCHED)
    assert {text.splitlines()[2].strip() for text in made} == {
        "if (a > len(b)):", "if (not a >= len(b)):", "if a >= (b):",
    }  # fmt: skip
    assert all(text.splitlines()[3:] == PATCHED.splitlines()[3:] for text in made)


def test_mutants_are_few_and_all_can_be_read() -> None:
    long = "    return " + " + ".join(f"g({n}) < {n}" for n in range(20)) + "\n"
    made = mutants("def f(a):\n    return a\n", "def f(a):\n" + long)
    assert 0 < len(made) <= MOST
    assert all(ast.parse(text) for text in made)
