"""Forked trials and the neighbour experiment, on a small product in a real process."""

import sys
from pathlib import Path

import pytest

from selfdrive_dagster.model import Job, Ran
from tests.fakes.plain_sandbox import PlainSandbox

SIGN = '''\
"""A product of one module."""
LIMIT = 3


def read(text):
    """Read a signed number."""
    sign = 1
    if text[0] == "-":
        sign, text = -1, text[1:]
    return sign * int(text or "0")


class Box:
    def __init__(self, items):
        self.items = items

    def first(self):
        return self.items[0]


async def later(text):
    return read(text)
'''
TESTS = """\
import asyncio

import sign


def test_positive():
    assert sign.read("12") == 12


def test_negative():
    assert sign.read("-7") == -7


def test_box():
    assert sign.Box([4, 5]).first() == 4


def test_later():
    assert asyncio.run(sign.later("8")) == 8
"""
REPRODUCER = "import sign\n\n\ndef test_empty():\n    sign.read('')\n"
TARGET = "test_repro.py::test_empty"
SUITE = [f"test_sign.py::{name}" for name in ("test_positive", "test_negative", "test_later")]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "sign.py").write_text(SIGN)
    (tmp_path / "test_sign.py").write_text(TESTS)
    (tmp_path / "test_repro.py").write_text(REPRODUCER)
    return tmp_path


def run(program: str, tree: Path, spec: dict[str, object]) -> Ran:
    job = Job(program=program, tree=str(tree), python=sys.executable, spec=spec, seconds=60)
    return PlainSandbox().run(job)


def variant(old: str, new: str) -> str:
    assert old in SIGN
    return SIGN.replace(old, new)


CANDIDATES = {
    "guard": variant('if text[0] == "-"', 'if text and text[0] == "-"'),
    "wrong": variant(
        "    sign = 1\n", "    if not text or True:\n        return len(text)\n    sign = 1\n"
    ),
    "nothing": variant("sign = 1\n", "sign = +1\n"),
    "loop": variant("    sign = 1\n", "    while not text:\n        pass\n    sign = 1\n"),
    "dies": variant(
        "    sign = 1\n", "    if not text:\n        import os; os._exit(0)\n    sign = 1\n"
    ),
    "cold": variant("LIMIT = 3", "LIMIT = 4"),
    "exit": variant(
        "    sign = 1\n", "    if not text:\n        raise SystemExit(0)\n    sign = 1\n"
    ),
}


def whole(name: str) -> dict[str, object]:
    """A candidate whose text stands for the whole file."""
    text = CANDIDATES[name]
    return {"id": name, "path": "sign.py", "start": 0, "stop": len(SIGN), "text": text}


def test_each_candidate_gets_its_own_verdict(tree: Path) -> None:
    spec = {
        "candidates": [whole(name) for name in CANDIDATES],
        "targets": [TARGET],
        "suite": SUITE,
        "deadline_seconds": 1.0,
    }
    ran = run("trial", tree, spec)
    outcomes = {line["id"]: line["outcome"] for line in ran.lines if line["kind"] == "trial"}
    assert outcomes == {
        "guard": "plausible",
        "wrong": "killed",  # by the suite: the empty text is quiet now
        "nothing": "killed",
        "loop": "hung",
        "dies": "died",
        "cold": "killed",  # in a process of its own
        "exit": "killed",
    }
    assert (tree / "sign.py").read_text() == SIGN


def test_search_can_stop_at_the_first_survivor(tree: Path) -> None:
    guard = whole("guard")
    spec = {
        "candidates": [guard, {**guard, "id": "again"}],
        "targets": [TARGET],
        "suite": SUITE,
        "deadline_seconds": 1.0,
        "stop_after": 1,
    }
    ran = run("trial", tree, spec)
    assert [line["id"] for line in ran.lines if line["kind"] == "trial"] == ["guard"]


READY = "(one=None):\n    import sign\n    sign.LIMIT = 9\n\n\n"
USED = "def test_it():\n    import sign\n    assert sign.LIMIT == 9 and sign.read('') == 0\n"
FIXTURE = "import pytest\n\n\n@pytest.fixture{0}\ndef ready" + READY
IN_CLASS = (
    "class TestIt:\n    def setup_method(self):\n        import sign\n        sign.LIMIT = 9\n\n"
)
METHOD = "    " + USED.replace("()", "(self)", 1).replace("\n    ", "\n        ")
SET_UP = {  # the test file, and conftest.py
    "an automatic fixture": (USED, FIXTURE.format("(autouse=True)")),
    "a fixture that a mark asks for": (
        f"import pytest\n\n\n@pytest.mark.usefixtures('ready')\n{USED}", FIXTURE.format("()"),
    ),
    "a fixture that it asks for": (USED.replace("()", "(ready)", 1), FIXTURE.format("()")),
    "its module's set-up": (f"def setup_module{READY}{USED}", ""),
    "its class's set-up": (IN_CLASS + METHOD, ""),
    "a hook of the product": (USED, f"def pytest_runtest_setup{READY.replace('one=None', 'item')}"),
}  # fmt: skip


@pytest.mark.parametrize("name", SET_UP)
def test_what_pytest_sets_up_is_there_in_a_trial_too(name: str, tree: Path) -> None:
    test, conftest = SET_UP[name]
    (tree / "test_set_up.py").write_text(test)
    (tree / "conftest.py").write_text(conftest)
    zero = variant("    sign = 1\n", "    if not text:\n        return 0\n    sign = 1\n")
    spec = {
        "candidates": [
            {"id": "zero", "path": "sign.py", "start": 0, "stop": len(SIGN), "text": zero},
            {"id": "same", "path": "sign.py", "start": 0, "stop": 0, "text": ""},
        ],
        "targets": [f"test_set_up.py::{'TestIt::' if test == IN_CLASS + METHOD else ''}test_it"],
        "suite": [],
        "deadline_seconds": 5.0,
    }
    ran = run("trial", tree, spec)
    outcomes = {line["id"]: line["outcome"] for line in ran.lines if line["kind"] == "trial"}
    assert outcomes == {"zero": "plausible", "same": "killed"}


def test_a_test_that_fails_in_every_fork_refuses_nobody(tree: Path) -> None:
    (tree / "test_process.py").write_text(
        "import os\n\nHERE = os.getpid()\n\n\ndef test_one_process():\n"
        "    import sign\n    assert sign.read('7') == 7 and os.getpid() == HERE\n"
    )
    spec = {
        "candidates": [whole("guard"), whole("wrong")],
        "targets": [TARGET],
        "suite": ["test_process.py::test_one_process", *SUITE],
        "deadline_seconds": 5.0,
    }
    ran = run("trial", tree, spec)
    outcomes = {line["id"]: line["outcome"] for line in ran.lines if line["kind"] == "trial"}
    assert outcomes == {"guard": "plausible", "wrong": "killed"}


def experiment(tree: Path, **variants: str) -> list[dict[str, object]]:
    spec = {
        "path": "sign.py",
        "variants": [{"id": k, "source": v} for k, v in variants.items()],
        "node_ids": [TARGET, *SUITE, "test_sign.py::test_box"],
        "exception_type": "IndexError",
        "failing": 1,
        "calls": 8,
        "inputs": 24,
        "seed": 7,
        "deadline_seconds": 2.0,
        "seconds": 40.0,
    }
    return [line for line in run("neighbours", tree, spec).lines if line["kind"] == "neighbour"]


def test_a_right_guard_agrees_wherever_the_base_did_not_fail(tree: Path) -> None:
    lines = experiment(tree, guard=CANDIDATES["guard"])
    fine = [line for line in lines if line["base"]["how"] == "returned"]
    assert len(fine) > 10
    assert all(line["variants"]["guard"] == line["base"] for line in fine)
    failing = [line for line in lines if line["base"].get("type") == "IndexError"]
    assert failing and failing[0]["base"]["where"] == "sign.py:read"
    assert failing[0]["variants"]["guard"]["value"] == "int:0"


def test_a_length_guard_that_breaks_short_input_is_told_apart(tree: Path) -> None:
    lines = experiment(
        tree,
        short=variant("    if text[0]", "    if len(text) < 2:\n        return 0\n    if text[0]"),
    )
    differing = [
        line
        for line in lines
        if line["base"]["how"] == "returned" and line["variants"]["short"] != line["base"]
    ]
    assert any("text='" in line["shown"] for line in differing)


def test_state_of_a_living_object_is_perturbed(tree: Path) -> None:
    lines = experiment(tree, last=variant("self.items[0]", "self.items[-1]"))
    differ = [
        line
        for line in lines
        if line["base"]["how"] == "returned" and line["variants"]["last"] != line["base"]
    ]
    assert differ, "items of another length must tell first from last"


CLOSURE = """\
def reader(base):
    def read(text):
        if text[0] == "0":
            base_here = 8 if text[1] == "o" else base
            return int(text.lstrip("0o") or "0", base_here)
        return int(text, base)
    return read


PLAIN = reader(10)
"""
CLOSURE_TESTS = """\
import reading


def test_two_digits():
    assert reading.PLAIN("12") == 12


def test_made_in_the_test():
    assert reading.reader(16)("1f") == 31
"""


def test_a_closure_is_studied_where_it_is_called_not_where_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "reading.py").write_text(CLOSURE)
    (tmp_path / "test_reading.py").write_text(CLOSURE_TESTS)
    (tmp_path / "test_repro.py").write_text(
        "import reading\n\n\ndef test_zero():\n    reading.reader(10)('0')\n"
    )
    line = '        if text[0] == "0":\n'
    longer = CLOSURE.replace(line, "        if len(text) < 2:\n            return None\n" + line)
    spec = {
        "path": "reading.py",
        "variants": [{"id": "longer", "source": longer}],
        "node_ids": ["test_repro.py::test_zero", *(f"test_reading.py::{n}" for n in (
            "test_two_digits", "test_made_in_the_test"))],
        "exception_type": "IndexError",
        "failing": 1, "calls": 8,
        "inputs": 24,
        "seed": 7,
        "deadline_seconds": 2.0,
        "seconds": 40.0,
    }  # fmt: skip
    ran = run("neighbours", tmp_path, spec)
    lines = [line for line in ran.lines if line["kind"] == "neighbour"]
    assert {line["test"].rpartition("::")[2] for line in lines} == {
        "test_zero", "test_two_digits", "test_made_in_the_test",
    }  # fmt: skip
    one_digit = [line for line in lines if line["shown"] == "text='7'"]
    assert one_digit
    assert all(line["base"]["value"] == "int:7" for line in one_digit)
    assert all(line["variants"]["longer"]["value"] == "NoneType:None" for line in one_digit)


def test_a_change_in_a_comprehension_is_studied_where_it_is_called(tmp_path: Path) -> None:
    source = "def best(n):\n    return next((t for t in (30, 20, 10) if n > t), 0)\n"
    (tmp_path / "tiers.py").write_text(source)
    (tmp_path / "test_tiers.py").write_text(
        "import tiers\n\n\ndef test_best():\n    assert tiers.best(25) == 20\n"
    )
    spec = {
        "path": "tiers.py",
        "variants": [{"id": "same", "source": source.replace("n > t", "n >= t")}],
        "node_ids": ["test_tiers.py::test_best"],
        "exception_type": "",
        "failing": 1,
        "calls": 4,
        "inputs": 24,
        "seed": 7,
        "deadline_seconds": 2.0,
        "seconds": 40.0,
    }
    lines = [line for line in run("neighbours", tmp_path, spec).lines if "base" in line]
    assert lines and lines[0]["base"]["value"] == "int:20"
    assert any(line["variants"]["same"] != line["base"] for line in lines), (
        "n = 10 tells them apart"
    )


FROZEN_TESTS = """\
import time

import pytest
import reading


@pytest.fixture
def frozen(monkeypatch):
    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, lambda: 4e9)


def test_two_digits(frozen):
    assert reading.PLAIN("12") == 12
"""


def test_a_test_that_stops_the_clock_is_studied_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "reading.py").write_text(CLOSURE)
    (tmp_path / "test_reading.py").write_text(FROZEN_TESTS)
    spec = {
        "path": "reading.py",
        "variants": [{"id": "same", "source": CLOSURE.replace('or "0"', 'or "00"')}],
        "node_ids": ["test_reading.py::test_two_digits"],
        "exception_type": "IndexError",
        "failing": 1,
        "calls": 8,
        "inputs": 24,
        "seed": 7,
        "deadline_seconds": 2.0,
        "seconds": 40.0,
    }
    ran = run("neighbours", tmp_path, spec)
    assert len([line for line in ran.lines if line["kind"] == "neighbour"]) > 10
