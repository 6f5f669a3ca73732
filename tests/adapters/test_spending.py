"""The loop's purse: caps hold against races and kills, and unknown counts as spent."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from fakes.selfdrive_program import ROOT
from sqlalchemy import Engine, text

from selfdrive_dagster.adapters.spending import CHARGED, LoopPurse, Spending, Spent, charge_lost
from selfdrive_dagster.model import Ask, Result
from selfdrive_dagster.patches.asking.money import Caps, Denied, Reserved

PROGRAM = ROOT / "tests" / "fakes" / "spender.py"


def ask(spent: int) -> Ask:
    return Ask(
        generator="claude", purpose="draft", model="m", result=Result.REFUSED, spent_micros=spent
    )


def purse(engine: Engine, caps: Caps, change: str = "chg_1", issue: str = "iss_1") -> LoopPurse:
    return Spending(engine).purse(change, issue, caps)


def test_what_is_set_aside_counts_until_it_is_settled(engine: Engine) -> None:
    mine = purse(engine, Caps(day=100))
    reserved = mine.reserve(80, "m")
    assert isinstance(reserved, Reserved)
    assert isinstance(mine.reserve(30, "m"), Denied)
    mine.settle(reserved, ask(10))
    assert Spending(engine).today() == Spent(micros=10, asks=1)
    assert isinstance(mine.reserve(90, "m"), Reserved)
    assert Spending(engine).today() == Spent(micros=100, asks=2, open_micros=90)


CAPS = {
    "change": (Caps(change=10), "chg_1", "iss_1", True),
    "another change": (Caps(change=10), "chg_2", "iss_1", False),
    "issue": (Caps(issue=10), "chg_2", "iss_1", True),
    "another issue": (Caps(issue=10), "chg_2", "iss_2", False),
    "day": (Caps(day=10), "chg_2", "iss_2", True),
    "month": (Caps(month=10), "chg_2", "iss_2", True),
    "no money": (Caps(day=0), "chg_2", "iss_2", True),
}


@pytest.mark.parametrize(("caps", "change", "issue", "denied"), CAPS.values(), ids=CAPS)
def test_each_cap_counts_its_own(
    engine: Engine, caps: Caps, change: str, issue: str, denied: bool
) -> None:
    assert isinstance(purse(engine, Caps()).reserve(10, "m"), Reserved)
    assert isinstance(purse(engine, caps, change, issue).reserve(1, "m"), Denied) is denied


def make_older(engine: Engine, age: timedelta) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE selfdrive.spend SET at = at - :age"), {"age": age})


def test_a_new_day_and_a_new_month_begin_with_nothing(engine: Engine) -> None:
    purse(engine, Caps()).reserve(10, "m")
    make_older(engine, timedelta(days=1, hours=1))
    assert Spending(engine).today().micros == 0
    make_older(engine, timedelta(days=31))
    assert Spending(engine).this_month().micros == 0
    assert isinstance(purse(engine, Caps(change=10)).reserve(1, "m"), Denied)


def test_what_was_never_settled_is_charged_and_a_late_answer_sets_it_right(engine: Engine) -> None:
    mine = purse(engine, Caps())
    reserved = mine.reserve(10, "m")
    assert isinstance(reserved, Reserved)
    with engine.begin() as connection:
        assert charge_lost(connection) == 0
    make_older(engine, timedelta(hours=2))
    purse(engine, Caps()).reserve(1, "m")
    spending = Spending(engine)
    assert spending.by_result()[CHARGED] == Spent(micros=10, asks=1)
    mine.settle(reserved, ask(4))
    assert spending.by_result()["refused"].micros == 4
    mine.settle(reserved, ask(0))  # only once
    assert spending.by_result()["refused"].micros == 4


def test_it_is_known_what_was_spent_on_what(engine: Engine) -> None:
    for change, issue, amount in (("chg_1", "iss_1", 5), ("chg_2", "iss_1", 7), ("c", "i", 1)):
        purse(engine, Caps(), change, issue).reserve(amount, "m")
    spending = Spending(engine)
    assert {name: one.micros for name, one in spending.by_issue().items()} == {"iss_1": 12, "i": 1}
    assert spending.by_change()["chg_2"].micros == 7


def spender(url: str, issues: int, micros: int, cap: int, end: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), url, str(issues), str(micros), str(cap), end]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, cwd=ROOT)


def given(process: subprocess.Popen[str]) -> int:
    told, _ = process.communicate(timeout=300)
    return int(told)


def test_two_racing_processes_never_pass_the_cap(database_url: str, engine: Engine) -> None:
    racing = [spender(database_url, 150, 7, 1000, "forgets") for _ in range(2)]
    assert sum(map(given, racing)) == 142  # 142 * 7 = 994
    assert Spending(engine).today() == Spent(micros=994, asks=142, open_micros=994)


def test_a_kill_between_setting_aside_and_settling_counts_as_spent(
    database_url: str, engine: Engine
) -> None:
    killed = spender(database_url, 1, 60, 100, "dies")
    assert (given(killed), killed.returncode) == (1, -9)
    assert Spending(engine).today() == Spent(micros=60, asks=1, open_micros=60)
    assert isinstance(purse(engine, Caps(day=100)).reserve(41, "m"), Denied)
    assert isinstance(purse(engine, Caps(day=100)).reserve(40, "m"), Reserved)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_issues_two_workers_and_kills_never_pass_the_cap(
    database_url: str, engine: Engine
) -> None:
    cap = 100_000
    spending = Spending(engine)
    workers = [spender(database_url, 5_000, 40, cap, "settles") for _ in range(2)]
    seen = []
    while any(worker.poll() is None for worker in workers):
        killed = spender(database_url, 1, 40, cap, "dies")
        killed.communicate(timeout=60)
        seen.append(spending.today())
    assert sum(map(given, workers)) > 1000
    assert max(one.micros for one in seen) <= cap
    final = spending.today()
    assert cap - 40 < final.micros <= cap
    assert len(seen) > 2 and final.open_micros >= 40


def test_threads_of_one_process_are_held_to_it_as_well(engine: Engine) -> None:
    mine = purse(engine, Caps(change=50))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: mine.reserve(10, "m"), range(40)))
    assert sum(isinstance(one, Reserved) for one in answers) == 5
