"""`selfdrive spend`, and where else people see what models cost."""

import json
from pathlib import Path

import pytest
from fakes.rolling import led
from sqlalchemy import Engine
from typer.testing import CliRunner

from selfdrive_dagster.adapters.spending import Spending
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.changes import changes
from selfdrive_dagster.cli.costs import spent_on_issues
from selfdrive_dagster.cli.showing import show
from selfdrive_dagster.cli.spend import NOTHING, spend
from selfdrive_dagster.model import Ask, Result
from selfdrive_dagster.patches.asking.money import Caps, Reserved

APP = build_app(
    (
        Command("spend", spend, "Loop"),
        Command("changes", changes, "Loop"),
        Command("show", show, "Loop"),
    )
)


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELFDRIVE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    return tmp_path


def run(*arguments: str) -> str:
    done = CliRunner().invoke(APP, list(arguments), obj=Invocation(), env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def spent(engine: Engine, change: str, issue: str, micros: int | None) -> None:
    """Set ten cents aside; settle them at so much, or never."""
    purse = Spending(engine).purse(change, issue, Caps())
    reserved = purse.reserve(100_000, "m")
    assert isinstance(reserved, Reserved)
    if micros is not None:
        purse.settle(
            reserved,
            Ask(
                generator="claude",
                purpose="draft",
                model="m",
                result=Result.REFUSED,
                spent_micros=micros,
            ),
        )


def test_where_no_loop_ran_nothing_was_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFDRIVE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SELFDRIVE_DATABASE_URL", raising=False)
    assert " ".join(run("spend").split()) == NOTHING
    assert spent_on_issues() == {}
    assert not (tmp_path / "home").exists()


def test_the_book_tells_caps_changes_and_ends(home: Path, engine: Engine) -> None:
    (home / "selfdrive.toml").write_text("[patches]\nbudget_usd_per_day = 2\n")
    spent(engine, "chg_a", "iss_a", 12_345)
    spent(engine, "chg_b", "iss_b", None)
    told = json.loads(run("spend", "--json"))
    assert (told["today"], told["open_micros"]) == (112_345, 100_000)
    assert (told["day_cap"], told["month_cap"]) == (2_000_000, None)
    assert [(one["name"], one["issue_id"]) for one in told["changes"]] == [
        ("chg_b", "iss_b"),
        ("chg_a", "iss_a"),
    ]
    assert {one["name"]: one["micros"] for one in told["ends"]} == {
        "open": 100_000,
        "refused": 12_345,
    }
    drawn = run("spend")
    assert "Today $0.1124 of $2.0000" in drawn and "set aside" in drawn
    assert spent_on_issues() == {"iss_a": 12_345, "iss_b": 100_000}


def test_the_board_and_a_change_say_what_it_cost(home: Path, engine: Engine) -> None:
    paid, free = led(engine, "one"), led(engine, "two")
    spent(engine, paid.change_id, paid.issue_id, 12_345)
    lines = {one["change_id"]: one["cost_usd"] for one in json.loads(run("changes", "--json"))}
    assert lines == {paid.change_id: 0.012345, free.change_id: None}
    assert "Models were paid $0.0124" in run("show", paid.change_id)
    assert "Models" not in run("show", free.change_id)
