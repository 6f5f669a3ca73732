"""Candidates that share a process: what one leaves behind must never refuse the next.

Each case is a product of one module and a failing test, tried in a real process. Every candidate's
verdict must be the one that it gets alone.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from selfdrive_dagster.model import Job
from tests.fakes.plain_sandbox import PlainSandbox

HEAD = "import functools, itertools, os, random, threading\n\n\n"
WRONG, RIGHT = "return 1  # nothing yet", "return 2"


class Case(NamedTuple):
    """A module with WRONG in it, what a wrong candidate makes of that line, and the test."""

    module: str
    spoiling: str
    test: str = "def test_it():\n    assert product.of(2) == 2\n"
    targets: tuple[str, ...] = ("test_it",)


CASES = {
    "nothing is kept": Case(
        "def of(n):\n    return 1  # nothing yet\n",
        "return 3",
    ),
    "a cache of answers": Case(
        "@functools.lru_cache\ndef of(n):\n    return 1  # nothing yet\n",
        "return 3",
    ),
    "a dictionary of answers": Case(
        "KNOWN = {}\n\n\ndef of(n):\n    if n not in KNOWN:\n        KNOWN[n] = made(n)\n"
        "    return KNOWN[n]\n\n\ndef made(n):\n    return 1  # nothing yet\n",
        "return 3",
    ),
    "a candidate that keeps what the base does not": Case(
        "KNOWN = {}\n\n\ndef of(n):\n    return KNOWN.get(n) or made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "return KNOWN.setdefault(n, 3)",
    ),
    "an attribute of an object": Case(
        "class Box:\n    seen = None\n\n\nBOX = Box()\n\n\ndef of(n):\n"
        "    return BOX.seen or made(n)\n\n\ndef made(n):\n    return 1  # nothing yet\n",
        "BOX.seen = 3; return 3",
    ),
    "an attribute of a class": Case(
        "class Box:\n    seen = None\n\n\ndef of(n):\n    return Box.seen or made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "Box.seen = 3; return 3",
    ),
    "an object with slots": Case(
        "class Box:\n    __slots__ = ('seen',)\n\n\nBOX = Box()\n\n\ndef of(n):\n"
        "    return getattr(BOX, 'seen', None) or made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "BOX.seen = 3; return 3",
    ),
    "a default argument": Case(
        "def of(n, known=[]):\n    return known[0] if known else made(n, known)\n\n\n"
        "def made(n, known):\n    return 1  # nothing yet\n",
        "known.append(3); return 3",
    ),
    "a closure": Case(
        "def counting():\n    seen = None\n\n    def of(n):\n        nonlocal seen\n"
        "        seen = seen or made(n)\n        return seen\n\n    return of\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n\n\nof = counting()\n",
        "return 3",
    ),
    "a counter that nobody can look into": Case(
        "TURN = itertools.count(1)\n\n\ndef of(n):\n"
        "    return 3 if next(TURN) > 1 else made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "return 3",
    ),
    "the environment": Case(
        "def of(n):\n    return int(os.environ.get('SEEN', 0)) or made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "os.environ['SEEN'] = '3'; return 3",
    ),
    "a name of another module": Case(
        "def of(n):\n    return getattr(itertools, 'seen', None) or made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "itertools.seen = 3; return 3",
    ),
    "chance": Case(
        "def of(n):\n    random.seed(7) if n > 9 else None\n    return made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "random.seed(7); return 3",
    ),
    "a thread": Case(
        "GO = threading.Event()\n\n\ndef of(n):\n"
        "    return 3 if threading.active_count() > 1 else made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "threading.Thread(target=GO.wait, daemon=True).start(); return 3",
    ),
    "a test that keeps something on itself": Case(
        "def of(n):\n    return 1  # nothing yet\n",
        "return 3",
        "class TestIt:\n    def test_it(self):\n"
        "        self.seen = getattr(self, 'seen', None) or product.of(2)\n"
        "        assert self.seen == 2\n",
        ("TestIt::test_it",),
    ),
    "a parameter that the test changes": Case(
        "def of(n):\n    return 1  # nothing yet\n",
        "return 3",
        "import pytest\n\n\n@pytest.mark.parametrize('seen', [[]])\ndef test_it(seen):\n"
        "    seen.append(product.of(2))\n    assert seen[0] == 2\n",
        ("test_it[seen0]",),
    ),
    "a random number generator of its own": Case(
        "DICE = random.Random(5)\nFIRST = random.Random(5).random()\n\n\ndef of(n):\n"
        "    return made(n) if DICE.random() == FIRST else 3\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "return 3",
    ),
    "a generator": Case(
        "TURNS = (n for n in (2, 3, 4))\n\n\ndef of(n):\n"
        "    return 3 if next(TURNS) > 2 else made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "return 3",
    ),
    "a method of a list": Case(
        "SEEN = []\nsee = SEEN.append\ndel SEEN\n\n\ndef of(n):\n"
        "    return see.__self__[0] if see.__self__ else made(n)\n\n\n"
        "def made(n):\n    return 1  # nothing yet\n",
        "see(3); return 3",
    ),
    "a class of unittest": Case(
        "def of(n):\n    return 1  # nothing yet\n",
        "return 3",
        "import unittest\n\n\nclass TestIt(unittest.TestCase):\n    seen = None\n\n"
        "    def test_it(self):\n        TestIt.seen = TestIt.seen or product.of(2)\n"
        "        self.assertEqual(self.seen, 2)\n",
        ("TestIt::test_it",),
    ),
    "a fixture that two tests share": Case(
        "def of(n):\n    return 1  # nothing yet\n",
        "return 3",
        "import pytest\n\n\n@pytest.fixture(scope='module')\ndef seen():\n"
        "    return product.of(2)\n\n\ndef test_it(seen):\n    assert seen == 2\n\n\n"
        "def test_also(seen):\n    assert seen == 2\n",
        ("test_it", "test_also"),
    ),
    "an object that does not let itself be looked at": Case(
        "class Meta(type):\n    def __getattribute__(cls, name):\n"
        "        raise RuntimeError(name)\n\n\nclass Box(metaclass=Meta):\n    pass\n\n\n"
        "BOX = object.__new__(Box)\n\n\ndef of(n):\n    return 1  # nothing yet\n",
        "return 3",
    ),
    "a process that ends": Case(
        "def of(n):\n    return 1  # nothing yet\n",
        "os._exit(0)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_one_candidate_leaves_behind_refuses_no_other(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    module = HEAD + case.module
    line = next(one.strip() for one in case.module.splitlines() if one.endswith("# nothing yet"))
    right = line.replace("1  # nothing yet", "2")
    (tmp_path / "product.py").write_text(module)
    (tmp_path / "test_it.py").write_text(f"import product\n\n\n{case.test}")
    start = module.index(line)

    def candidate(number: int, text: str) -> dict[str, object]:
        place = {"path": "product.py", "start": start, "stop": start + len(line)}
        return {"id": str(number), **place, "text": text}

    texts = [case.spoiling, case.spoiling + " ", case.spoiling, right, case.spoiling, right]
    spec = {
        "candidates": [candidate(number, text) for number, text in enumerate(texts)],
        "targets": [f"test_it.py::{target}" for target in case.targets],
        "suite": [],
        "deadline_seconds": 5.0,
    }
    job = Job(program="trial", tree=str(tmp_path), python=sys.executable, spec=spec, seconds=60)
    lines = PlainSandbox().run(job).lines
    held = {one["id"]: one["outcome"] for one in lines if one["kind"] == "trial"}
    wrong = "died" if "_exit" in case.spoiling else "killed"
    assert held == dict(zip("012345", [wrong] * 3 + ["plausible", wrong, "plausible"], strict=True))


SHARED = {
    "nothing is kept": "def of(n):\n    return 1\n",
    "a warning that is given once": "import warnings\n\n\ndef of(n):\n"
    "    warnings.warn('old', DeprecationWarning)\n    return 1\n",
}


@pytest.mark.parametrize("name", SHARED)
def test_candidates_that_leave_nothing_share_a_process(name: str, tmp_path: Path) -> None:
    module = SHARED[name]
    (tmp_path / "product.py").write_text(module)
    (tmp_path / "test_it.py").write_text(
        "import os\nimport product\n\n\ndef test_it():\n"
        f"    with open({str(tmp_path / 'pids')!r}, 'a') as file:\n"
        "        file.write(f'{os.getpid()} ')\n"
        "    assert product.of(2) == 2\n"
    )
    start = module.index("1")
    spec = {
        "candidates": [
            {"id": str(n), "path": "product.py", "start": start, "stop": start + 1, "text": str(n)}
            for n in range(3, 43)
        ],
        "targets": ["test_it.py::test_it"],
        "suite": [],
        "deadline_seconds": 5.0,
    }
    job = Job(program="trial", tree=str(tmp_path), python=sys.executable, spec=spec, seconds=60)
    assert sum(one["kind"] == "trial" for one in PlainSandbox().run(job).lines) == 40
    ran = (tmp_path / "pids").read_text().split()
    assert len(ran) == 41  # each once, and the base once
    assert len(set(ran)) < 10
