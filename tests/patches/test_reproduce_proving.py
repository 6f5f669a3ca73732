"""Which ending of a test counts as the recorded crash, and how often it must be seen."""

import sys

import pytest

from selfdrive_dagster.model import Diagnosis, Ending, FrameFinding, Product, Way
from selfdrive_dagster.patches.reproduce.draft import Draft
from selfdrive_dagster.patches.reproduce.proving import ONCE, REPRODUCED, mismatch, prove
from selfdrive_dagster.patches.suite import RaisedFrame, TestResult
from selfdrive_dagster.patches.syntax import Tree
from tests.fakes.plain_sandbox import PlainSandbox
from tests.fakes.scripted_sandbox import ScriptedSandbox, answer

SOURCE = """\
def convert(base):
    def read(text):
        return text[1]
    return read


def lengths(texts):
    return [text[1] for text in texts]


def keyed(texts):
    return sorted(texts, key=lambda text: text[1])
"""


def index_error(finding):
    return Diagnosis(
        revision="",
        sentence="",
        crash=None,
        failing_tests=(),
        frames=(finding,),
        suspicions=(),
        inputs=(),
        suspect=None,
        exception_type="IndexError",
    )


@pytest.mark.parametrize(
    ("raised_in", "line", "recorded", "same"),
    [
        ("convert.<locals>.read", 3, "convert.<locals>.read", True),
        ("lengths.<locals>.<listcomp>", 8, "lengths", True),
        ("keyed.<locals>.<lambda>", 12, "keyed", True),
        ("convert", 3, "convert.<locals>.read", False),
        ("lengths", 8, "keyed", False),
    ],
)
def test_a_nested_function_is_itself_and_nameless_code_its_function(
    tmp_path, raised_in, line, recorded, same
):
    (tmp_path / "reading.py").write_text(SOURCE)
    product = Product(name="p", root=str(tmp_path), python=sys.executable, source=("reading.py",))
    finding = FrameFinding(path="reading.py", line=line, function=recorded, depth=0)
    diagnosis = index_error(finding)
    ended = TestResult(
        outcome="failed",
        exception_type="IndexError",
        frames=(RaisedFrame("reading.py", line, raised_in),),
    )
    assert (mismatch(ended, diagnosis, Tree(product)) == "") is same


FINDING = FrameFinding(path="reading.py", line=8, function="lengths", depth=0)
ALWAYS = "lengths(['a'])"
NEVER = "lengths(['ab'])"
BY_SEED = "lengths(['a' if os.environ['PYTHONHASHSEED'] == '0' else 'ab'])"
UNTRIED = "did not fail: the test passed"
FLAKY = f"reproduced once, but not again ({UNTRIED})"
PROVING = {
    "the first holds, the others are not asked again": (
        {"one": ALWAYS, "two": ALWAYS, "three": NEVER},
        {"one": REPRODUCED, "two": ONCE, "three": UNTRIED},
    ),
    "the second is asked again where the first is flaky": (
        {"one": BY_SEED, "two": ALWAYS},
        {"one": FLAKY, "two": REPRODUCED},
    ),
    "two flaky drafts make none": (
        {"one": BY_SEED, "two": BY_SEED, "three": NEVER},
        {"one": FLAKY, "two": FLAKY, "three": UNTRIED},
    ),
}


def drafts(calls):
    return tuple(
        Draft(
            way=Way.CAPTURED_ARGUMENTS,
            path=f"test_{name}.py",
            source=f"import os\n\nfrom reading import lengths\n\n\ndef test_it():\n    {call}\n",
            target=FINDING,
            tried="lengths",
        )
        for name, call in calls.items()
    )


@pytest.mark.parametrize("name", PROVING)
def test_only_a_draft_that_was_run_twice_is_reproduced(tmp_path, name):
    calls, outcomes = PROVING[name]
    (tmp_path / "reading.py").write_text(SOURCE)
    product = Product(name="p", root=str(tmp_path), python=sys.executable, source=("reading.py",))
    proofs = prove(drafts(calls), index_error(FINDING), product, PlainSandbox())
    assert {path[5:-3]: proof.outcome for path, proof in proofs.items()} == outcomes
    confirmed = {path[5:-3] for path, proof in proofs.items() if proof.confirmed}
    assert confirmed == {name for name, outcome in outcomes.items() if outcome == REPRODUCED}


def test_a_second_run_that_was_killed_is_no_second_time(tmp_path):
    (tmp_path / "reading.py").write_text(SOURCE)
    product = Product(name="p", root=str(tmp_path), python=sys.executable, source=("reading.py",))
    [one] = drafts({"one": ALWAYS})
    first = PlainSandbox()
    prove((one,), index_error(FINDING), product, first)
    sandbox = ScriptedSandbox(first.run(first.jobs[0]), answer(ending=Ending.KILLED))
    proof = prove((one,), index_error(FINDING), product, sandbox)[one.path]
    assert (proof.confirmed, proof.node_ids) == (False, ())
    assert proof.outcome == "reproduced once, but not again (the run ended early: killed)"
