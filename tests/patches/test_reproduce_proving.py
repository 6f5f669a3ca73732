"""Which ending of a test counts as the recorded crash: the function's name decides."""

import sys

import pytest

from selfdrive_dagster.model import Diagnosis, FrameFinding, Product
from selfdrive_dagster.patches.reproduce.proving import mismatch
from selfdrive_dagster.patches.suite import RaisedFrame, TestResult
from selfdrive_dagster.patches.syntax import Tree

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
    diagnosis = Diagnosis(
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
    ended = TestResult(
        outcome="failed",
        exception_type="IndexError",
        frames=(RaisedFrame("reading.py", line, raised_in),),
    )
    assert (mismatch(ended, diagnosis, Tree(product)) == "") is same
