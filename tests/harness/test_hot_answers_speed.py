"""What profile, recorded answers and timings tell of a small product, in real processes."""

import sys
from pathlib import Path
from typing import Any

import pytest
from fakes.plain_sandbox import PlainSandbox

from selfdrive_dagster.model import Job

SHOP = """\
def slow(count):
    total = 0
    for number in range(count * 3000):
        total += number % 7
    return total


def quick(items):
    return sorted(items)


def page(items):
    return slow(40) + len(quick(items))


SEEN = []


def moody(number):
    SEEN.append(number)
    return len(SEEN)
"""
TESTS = """\
import threading

import pytest

from shop import moody, page, quick


@pytest.fixture
def background():
    asked, answers = threading.Event(), []

    def serve():
        asked.wait()
        answers.append(quick([3, 1, 2]))

    thread = threading.Thread(target=serve)
    thread.start()
    yield lambda: (asked.set(), thread.join(), answers[0])[2]


def test_page():
    assert page([1, 2]) > 0


def test_in_a_thread_of_a_fixture(background):
    assert background() == [1, 2, 3]


def test_moody():
    assert moody(5) >= 1
"""
FILE = "tests/test_shop.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "tests").mkdir()
    (tmp_path / FILE).write_text(TESTS)
    return tmp_path


def run(tree: Path, program: str, **spec: Any) -> list[dict[str, Any]]:
    job = Job(program=program, tree=str(tree), python=sys.executable, spec={"args": [], **spec})
    ran = PlainSandbox().run(job)
    assert any(line["kind"] == "end" for line in ran.lines), ran.stderr[-2000:]
    return list(ran.lines)


def test_the_profile_charges_the_function_in_which_the_time_goes(tree: Path) -> None:
    lines = run(
        tree, "hot", node_ids=[f"{FILE}::test_page"], sources=["shop.py"], seconds=1.0, samples=60
    )
    hot = {line["function"]: line for line in lines if line["kind"] == "hot"}
    end = lines[-1]
    assert hot["slow"]["own"] >= 0.9 * end["samples"]
    assert hot["page"]["total"] >= 0.9 * end["samples"]
    assert set(hot["slow"]["lines"]) <= {"3", "4"}


def answers(tree: Path, test: str, function: str) -> list[dict[str, Any]]:
    target = {"path": "shop.py", "function": function, "watch": []}
    return run(
        tree, "answers", node_ids=[f"{FILE}::{test}"], targets=[target], calls=4, inputs=12, seed=1,
        deadline_seconds=2.0, seconds=20.0,
    )  # fmt: skip


def test_calls_of_a_fixtures_thread_are_recorded_and_perturbed(tree: Path) -> None:
    lines = answers(tree, "test_in_a_thread_of_a_fixture", "quick")
    told = [line for line in lines if line["kind"] == "answer"]
    assert told[0]["value"] == "list(3)[int:1, int:2, int:3]"
    assert len(told) == 12
    assert all(line["again"] for line in told)
    assert {"kind": "types", "target": "quick", "name": "items", "types": "list[int]"} in lines


def test_what_remembers_is_no_function_of_its_arguments(tree: Path) -> None:
    lines = answers(tree, "test_moody", "moody")
    told = [line for line in lines if line["kind"] == "answer"]
    assert told
    assert not any(line["again"] for line in told)


@pytest.mark.slow
@pytest.mark.parametrize(("times", "quicker"), [("40", False), ("4", True)])
def test_both_trees_are_timed_in_turn(tree: Path, times: str, quicker: bool) -> None:
    """The same test twice in a row: pytest must set it up anew."""
    patched = SHOP.replace("slow(40)", f"slow({times})")
    lines = run(
        tree, "speed", node_ids=2 * [f"{FILE}::test_page"], patched={"shop.py": patched}, pairs=6,
        least=3, seconds=4.0,
    )  # fmt: skip
    pairs = [line for line in lines if line["kind"] == "pair"]
    assert len(pairs) >= 3
    faster = sum(pair["patch"] < 0.5 * pair["base"] for pair in pairs)
    assert (faster > len(pairs) / 2) is quicker


def test_a_workload_that_breaks_is_told(tree: Path) -> None:
    lines = run(
        tree, "speed", node_ids=[f"{FILE}::test_page"], patched={"shop.py": "page = None\n"},
        pairs=3, least=3, seconds=4.0,
    )  # fmt: skip
    assert [line for line in lines if line["kind"] == "pair"] == []
    assert {line["side"] for line in lines if line["kind"] == "broken"} == {"patch"}
