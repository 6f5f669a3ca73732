"""The neighbour experiment's endings: what died or was cut short agreed with nobody."""

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from selfdrive_dagster.model import Candidate, Check, Claim, Ending, Product, Ran, Reproducer, Way
from selfdrive_dagster.validation import neighbours
from tests.fakes.plain_sandbox import PlainSandbox
from tests.fakes.scripted_sandbox import ScriptedSandbox, answer

TARGET = "test_repro.py::test_empty"
CRASH = Reproducer(
    way=Way.CAPTURED_ARGUMENTS,
    path="test_repro.py",
    source="import sign\n\n\ndef test_empty():\n    sign.read('')\n",
    node_ids=(TARGET,),
    exception_type="IndexError",
    function="read",
    target_path="sign.py",
)
PRODUCT = Product(name="sign", root="", python=sys.executable, source=("sign.py",))
END = {"kind": "end", "exit": 0}
SEVEN = {"how": "returned", "value": "int:7", "after": ""}
EIGHT = {**SEVEN, "value": "int:8"}


def candidate(name: str) -> Candidate:
    return Candidate(
        id=name,
        generator="test",
        family="test",
        path="sign.py",
        line=1,
        function="read",
        patch=name,
        claim=Claim.REPAIR,
        invented="",
    )


def asked(**variants: dict[str, Any]) -> dict[str, Any]:
    """One line of the harness: the base returned 7, the variants what is given."""
    told = {"test": "t::t", "call": 1, "input": 1, "shown": "n=1", "changed": ["n=1"]}
    return {"kind": "neighbour", **told, "base": SEVEN, "variants": variants}


def at_work(name: str) -> dict[str, Any]:
    return {"kind": "asking", "id": name}


def checks(*answers: Ran, names: tuple[str, ...] = ("one",)) -> dict[str, Check]:
    given = tuple(candidate(name) for name in names)
    sources = dict.fromkeys(names, "")
    sandbox = ScriptedSandbox(*answers)
    compared = neighbours.compare(given, sources, CRASH, (), PRODUCT, sandbox, seed=0)
    assert not sandbox.answers, "every prepared answer was asked for"
    return {each.id: neighbours.judge(compared, each) for each in given}


AGREED = tuple(asked(one=SEVEN) for _ in range(19))
ENDINGS: dict[str, tuple[Ran, bool | None, str]] = {
    "came to its end": (answer(*AGREED, END), True, "agree on all 19 inputs"),
    "timed out": (answer(*AGREED, ending=Ending.TIMED_OUT), None, "timed_out"),
    "wrote too much": (answer(*AGREED, ending=Ending.OUTPUT_CAPPED), None, "output_capped"),
    "killed while the base answered": (
        answer(*AGREED, at_work("one"), at_work(""), ending=Ending.KILLED),
        None,
        "killed",
    ),
    "killed while the patch answered": (
        answer(*AGREED, at_work(""), at_work("one"), ending=Ending.KILLED),
        False,
        "while the patch answered",
    ),
    "exited before its end": (answer(*AGREED, status=3), None, "exited with 3"),
    "lost one call": (
        answer(*AGREED, {"kind": "lost", "test": "t::t"}, END),
        None,
        "1 of its calls died",
    ),
    "no time to ask again": (
        answer(*AGREED, asked(one={"how": "unsettled"}), END),
        None,
        "differed once",
    ),
    "not asked for want of time": (answer(*AGREED, asked(one={"how": "unasked"}), END), True, ""),
    "one alone": (answer(asked(one=SEVEN), END), None, "only 1 input could be compared"),
    "the patch died on one input": (
        answer(*AGREED, asked(one={"how": "died"}), END),
        False,
        "the patch died",
    ),
    "a difference was seen before the end": (
        answer(*AGREED, asked(one=EIGHT), ending=Ending.TIMED_OUT),
        False,
        "changes more than the failure",
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_experiment_passes_only_at_its_end(name: str) -> None:
    ran, passed, says = ENDINGS[name]
    check = checks(ran)["one"]
    assert check.passed is passed, check.says
    assert says in check.says


VALUE, SLIP = "ValueError", "TypeError"
KIN = {
    "the reported failure is the patch's to mend": (VALUE, VALUE, "sign.py:read", True),
    "another word for the same bad value too": (VALUE, "OverflowError", "sign.py:read", True),
    "not in another function": (VALUE, "OverflowError", "sign.py:write", False),
    "a slip is another failure": (VALUE, SLIP, "sign.py:read", False),
    "and a bad value is no slip": (SLIP, VALUE, "sign.py:read", False),
}


@pytest.mark.parametrize("name", KIN)
def test_what_counts_as_the_reported_failure(name: str) -> None:
    reported, raised, where, free = KIN[name]
    base = {"how": "raised", "type": raised, "where": where}
    line = {**asked(one=SEVEN), "base": base}
    ran = ScriptedSandbox(answer(*AGREED, line, END))
    reproducer = replace(CRASH, exception_type=reported)
    one = candidate("one")
    compared = neighbours.compare((one,), {"one": ""}, reproducer, (), PRODUCT, ran, seed=0)
    assert neighbours.judge(compared, one).passed is free


def test_a_patch_that_ends_the_sandbox_fails_alone() -> None:
    both = tuple(asked(one=SEVEN, other=SEVEN) for _ in range(9))
    first = answer(*both, at_work("other"), ending=Ending.KILLED)
    found = checks(first, answer(*AGREED, END), names=("one", "other"))
    assert {name: check.passed for name, check in found.items()} == {"one": True, "other": False}


SIGN = """\
def read(text):
    if text[0] == "-":
        return -int(text[1:])
    return int(text)
"""
KILLER = """\
    if text == "13":
        import os
        import signal
        os.kill(os.getsid(0), signal.SIGKILL)
        os._exit(1)
"""


def test_the_harness_tells_who_was_at_work_when_everything_died(tmp_path: Path) -> None:
    (tmp_path / "sign.py").write_text(SIGN)
    (tmp_path / "test_sign.py").write_text(
        "import sign\n\n\ndef test_twelve():\n    assert sign.read('12') == 12\n\n\n"
        "def test_thirteen():\n    assert sign.read('13') == 13\n"
    )
    product = Product(
        name="sign", root=str(tmp_path), python=sys.executable, source=("sign.py",), tests=("-q",)
    )
    guard = SIGN.replace("if text[0]", "if text and text[0]")
    head, body = guard.split("\n", 1)
    sources = {"guard": guard, "killer": f"{head}\n{KILLER}{body}"}
    given = tuple(candidate(name) for name in sources)
    tests = ("test_sign.py::test_twelve", "test_sign.py::test_thirteen")
    sandbox = PlainSandbox()
    compared = neighbours.compare(given, sources, CRASH, tests, product, sandbox, seed=1)
    assert compared.fatal == {"killer"}
    assert [len(job.spec["variants"]) for job in sandbox.jobs] == [2, 1]
    passed = {one.id: neighbours.judge(compared, one).passed for one in given}
    assert passed == {"guard": True, "killer": False}


WITNESSES = {Way.FAILING_TEST: True, Way.CAPTURED_ARGUMENTS: None}


@pytest.mark.parametrize("way", WITNESSES)
def test_a_failing_test_speaks_for_what_no_passing_one_calls(way: Way) -> None:
    asking = replace(CRASH, way=way)
    one = candidate("one")
    compared = neighbours.compare(
        (one,), {"one": ""}, asking, (), PRODUCT, ScriptedSandbox(answer(END)), seed=0
    )
    assert neighbours.judge(compared, one).passed is WITNESSES[way]


REPORTED = {"how": "raised", "type": "IndexError", "where": "sign.py:read"}
OTHERWISE = {"how": "raised", "type": "ValueError", "where": "sign.py:read"}


def made(base: dict[str, Any], answered: dict[str, Any], *changed: str) -> neighbours.Neighbour:
    return neighbours.Neighbour(
        test="t::t", shown="", recorded=not changed, base=base, variants={"one": answered},
        changed=changed,
    )  # fmt: skip


def compared(*given: neighbours.Neighbour) -> neighbours.Comparison:
    return neighbours.Comparison(neighbours=given, incomparable=frozenset(), reproducer=CRASH)


def test_a_value_that_the_base_takes_nowhere_tells_nothing_where_it_fails_as_reported() -> None:
    recorded = made(REPORTED, SEVEN)
    strange, usual = made(REPORTED, SEVEN, "base=-10"), made(REPORTED, SEVEN, "base=16")
    refused = made(OTHERWISE, EIGHT, "text='7'", "base=-10")
    answered = made(SEVEN, SEVEN, "text='7'", "base=16")
    told = compared(recorded, strange, usual, refused, answered)
    assert told.fair == (recorded, usual, refused, answered)


SAYS_MORE = {
    "it answers as before": (compared(made(REPORTED, SEVEN), made(SEVEN, SEVEN)), False),
    "it answers otherwise": (compared(made(REPORTED, SEVEN), made(SEVEN, EIGHT)), True),
    "another refusal is no answer": (
        compared(made(REPORTED, SEVEN), made(OTHERWISE, SEVEN)),
        False,
    ),
    "the base never fails": (compared(made(SEVEN, EIGHT)), False),
    "its answer is not clear": (
        compared(made(REPORTED, SEVEN), made(SEVEN, {"how": "unsettled"})),
        False,
    ),
}


@pytest.mark.parametrize("name", SAYS_MORE)
def test_a_repair_may_say_more_than_the_failure_asks(name: str) -> None:
    told, more = SAYS_MORE[name]
    assert neighbours.says_more(told, "one") is more
