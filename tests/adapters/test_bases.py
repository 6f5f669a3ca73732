"""Bases: a revision's suite runs once for the changes of an hour, and anew when in doubt."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from selfdrive_dagster.adapters.bases import Bases
from selfdrive_dagster.model import Ending, Product, SandboxLevel
from selfdrive_dagster.patches.suite import SuiteRun, TestResult
from tests.fakes.made_findings import NO_SUITE

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
BASE = replace(NO_SUITE, collected=("t::one",), tests={"t::one": TestResult(outcome="passed")})
PRODUCT = Product(name="shop", root="/there", python="python3", revision="a" * 40, source=("shop",))


class Measuring:
    """A suite that counts how often it ran."""

    def __init__(self, run: SuiteRun = BASE) -> None:
        self.run = run
        self.times = 0

    def __call__(self) -> SuiteRun:
        self.times += 1
        return self.run


def ask(
    home: Path,
    measure: Callable[[], SuiteRun],
    *,
    product: Product = PRODUCT,
    level: SandboxLevel = SandboxLevel.FULL,
    minutes: int = 0,
) -> SuiteRun:
    """Ask as a run of its own would, so many minutes later."""
    return Bases(home).measured(product, level, NOW + timedelta(minutes=minutes), measure)


def test_a_second_change_finds_the_run_of_the_first(tmp_path: Path) -> None:
    measure = Measuring()
    first, second = ask(tmp_path, measure), ask(tmp_path, measure, minutes=59)
    assert first == second == BASE
    assert measure.times == 1


@pytest.mark.parametrize(
    "other",
    [
        {"product": replace(PRODUCT, revision="b" * 40)},
        {"product": replace(PRODUCT, python="python3.13")},
        {"product": replace(PRODUCT, tests=("-q", "tests/unit"))},
        {"level": SandboxLevel.PARTIAL},
        {"minutes": 60},
        {"minutes": -1},
    ],
    ids=["revision", "interpreter", "tests", "sandbox", "an hour later", "a clock put back"],
)
def test_it_is_measured_anew_for_another(tmp_path: Path, other: dict) -> None:
    measure = Measuring()
    ask(tmp_path, measure)
    ask(tmp_path, measure, **other)
    assert measure.times == 2


@pytest.mark.parametrize(
    "run",
    [
        replace(BASE, ending=Ending.TIMED_OUT),
        replace(BASE, errors=("tests/a.py: SyntaxError",)),
        NO_SUITE,
    ],
    ids=["cut short", "not collected", "empty"],
)
def test_what_did_not_end_well_is_not_kept(tmp_path: Path, run: SuiteRun) -> None:
    measure = Measuring(run)
    ask(tmp_path, measure)
    ask(tmp_path, measure)
    assert measure.times == 2


@pytest.mark.parametrize("part", ["bases", "evidence"])
def test_a_damaged_file_is_measured_anew(tmp_path: Path, part: str) -> None:
    measure = Measuring()
    ask(tmp_path, measure)
    (file,) = (tmp_path / part).rglob("*.json")
    if part == "bases":
        file.write_bytes(b"{")
        assert ask(tmp_path, measure) == BASE
        assert measure.times == 2
    else:
        file.unlink()
        assert ask(tmp_path, measure) == BASE
        assert ask(tmp_path, measure) == BASE
        assert measure.times == 2
