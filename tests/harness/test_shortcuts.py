"""Simple tests run without pytest's protocol, and come to what pytest comes to.

The oracle is pytest itself, in a process of its own, on the same file of tests.
"""

import json
import subprocess
import sys

import pytest

CONFTEST = """
import pytest

@pytest.fixture
def three():
    return 3

@pytest.fixture
def breaks():
    raise ValueError("at once")

@pytest.fixture
def breaks_after():
    yield 1
    raise ValueError("at the end")

@pytest.fixture(scope="module")
def made():
    made = []
    yield made
    made.append("gone")

@pytest.fixture(params=[1, 2])
def turn(request):
    return request.param
"""

SETTINGS = "[pytest]\nfilterwarnings =\n    error::FutureWarning\n"

TESTS = """
import os
import unittest
import warnings

import pytest

def test_passes(): assert True
def test_fails(): assert False
def test_skips(): pytest.skip("not here")
def test_exits(): raise SystemExit(0)
def test_warns(): warnings.warn("old")
def test_may_not_warn(): warnings.warn("gone soon", FutureWarning)
def test_fixture(three): assert three == 3
def test_fixture_wrong(three): assert three == 4
def test_setup_breaks(breaks): pass
def test_teardown_breaks(breaks_after): assert breaks_after == 1
def test_made(made): made.append(1); assert made == [1]
def test_made_again(made): assert made == [1]
def test_turn(turn): assert turn == 1
def test_sets(monkeypatch): monkeypatch.setenv("SEEN", "1"); assert os.environ["SEEN"] == "1"
def test_is_unset(): assert "SEEN" not in os.environ
def test_folder(tmp_path): assert tmp_path.is_dir()
def test_prints(capsys): print("x"); assert capsys.readouterr().out == "x\\n"

@pytest.mark.parametrize("number", [1, 2])
def test_number(number): assert number == 1

@pytest.mark.parametrize("turn", [2], indirect=True)
def test_indirect(turn): assert turn == 2

@pytest.mark.xfail
def test_expected(): assert False

@pytest.mark.skipif(True, reason="never")
def test_never(): assert False

@pytest.mark.usefixtures("breaks")
def test_uses(): pass

class TestClass:
    def setup_method(self): self.ready = True
    def test_ready(self): assert self.ready
    def test_own(self, three): self.ready = three; assert self.ready == 3

class TestCase(unittest.TestCase):
    def setUp(self): self.ready = True
    def test_ready(self): self.assertTrue(self.ready)
    def test_wrong(self): self.assertTrue(not self.ready)
    def test_parts(self):
        for number in (1, 2):
            with self.subTest(number=number):
                self.assertEqual(number, 1)
    def test_skips(self): self.skipTest("not here")
    @unittest.skip("never")
    def test_never(self): pass
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): pass

class TestEnds(unittest.TestCase):
    def tearDown(self): raise ValueError("at the end")
    def test_ends(self): pass

class TestWhole(unittest.TestCase):
    @classmethod
    def setUpClass(cls): cls.ready = True
    def test_ready(self): self.assertTrue(self.ready)

class TestNotReady(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise ValueError("not ready")
    def test_ready(self): pass

class TestAwaits(unittest.IsolatedAsyncioTestCase):
    async def test_awaits(self): self.fail()
"""

PROGRAM = """
import json
import pytest
from selfdrive_dagster.harness.running import run_session, run_until
from selfdrive_dagster.harness.session import settle
from selfdrive_dagster.harness.shortcuts import way_of

class Each:
    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config):
        settle(config)

    def pytest_runtestloop(self, session):
        for turn in range(2):
            told = {}
            run = run_until(session.items, 5.0, {}, stop=False)
            for item in session.items:
                way = way_of(item)
                told[item.nodeid] = [item.nodeid not in run["failed"], getattr(way, "__name__", "")]
            print("TOLD", json.dumps(told))
        return True

run_session(["test_it.py"], ["-s", "-q", "-p", "no:django"], Each())
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], list[dict[str, list]]]:
    """What passes with pytest, and what the ways say in each of two turns."""
    folder = tmp_path_factory.mktemp("tests")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text(SETTINGS)
    (folder / "test_it.py").write_text(TESTS)

    def run(*words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
        )
        return done.stdout.splitlines()

    said = run("-m", "pytest", "-q", "-rA", "-p", "no:subtests", "-o", "addopts=", "test_it.py")
    words = [line.split(" ") for line in said if " test_it.py::" in line]
    bad = {one[1] for one in words if one[0] != "PASSED"}
    oracle = {node_id for _, node_id, *_ in words} - bad
    told = [line.partition("TOLD ")[2] for line in run("-c", PROGRAM) if "TOLD " in line]
    return oracle, [json.loads(line) for line in told]


def test_every_way_comes_to_what_pytest_comes_to(ran: tuple) -> None:
    oracle, turns = ran
    assert len(turns) == 2
    for turn in turns:
        assert {node_id for node_id, (passed, _) in turn.items() if passed} == oracle


WAYS = {
    "bare": {"test_passes", "test_fails", "test_skips", "test_exits", "test_may_not_warn"},
    "case": {"TestCase::test_ready", "TestCase::test_parts", "TestEnds::test_ends"},
    "filled": {"test_fixture", "test_made", "test_number[1]", "test_sets", "TestClass::test_own"},
    "": {"test_folder", "test_prints", "test_expected", "test_never", "TestWhole::test_ready"},
}


@pytest.mark.parametrize("way", WAYS)
def test_who_goes_which_way(way: str, ran: tuple) -> None:
    first = {node_id.partition("::")[2]: gone for node_id, (_, gone) in ran[1][0].items()}
    assert {name: first[name] for name in WAYS[way]} == dict.fromkeys(WAYS[way], way)
