"""`selfdrive issues skip` and `unskip`: hold at once, with who and why, in the ledger after."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.skips import Skips
from selfdrive_dagster.adapters.spending import Spending
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.issues import issue, issues
from selfdrive_dagster.cli.skipping import PARTS
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.patches.asking.money import Caps
from selfdrive_dagster.telemetry import Arrival, Redactor, read_records

APP = build_app((Command("issues", issues, "Loop", PARTS), Command("issue", issue, "Loop")))
MODELS = load_models(Path(__file__).parents[2] / "sql")
NOW = datetime.now(UTC)
WHY = ("--reason", "the supplier mends it")

CRASH = """Traceback (most recent call last):
  File "/app/shop/cart.py", line 20, in total
    rate = rates[0]
IndexError: none
"""


@pytest.fixture(autouse=True)
def home(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SELFDRIVE_HOME", str(place))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    return place


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    known = Warehouse(home)
    for _ in range(2):
        arrival = Arrival(received_at=datetime.now(UTC), redactor=Redactor(key=bytes(32)))
        known.append("exceptions", read_records(CRASH.encode(), "cart", arrival).exceptions)
    refresh(known, MODELS)
    return known


def told(*words: str) -> str:
    done = CliRunner().invoke(APP, words, obj=Invocation(), env={"COLUMNS": "250"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def run(*words: str) -> Any:
    return json.loads(told(*words, "--json"))


def test_a_skip_holds_at_once_and_says_who_and_why(warehouse: Warehouse) -> None:
    [before] = run("issues")
    assert before["triage"]["reasons"][0] != "skipped"
    said = run("issues", "skip", before["issue_id"], "--for", "2w", *WHY)["said"]
    until = datetime.fromisoformat(said["until"])
    assert until - datetime.fromisoformat(said["at"]) == timedelta(weeks=2)
    [after] = run("issues")
    assert after["triage"]["decision"] == "skip"
    assert after["triage"]["reasons"][0] == "skipped"
    assert after["triage"]["skip"] == said
    assert f"skipped until {until:%Y-%m-%d}" in told("issues")
    one = told("issue", before["issue_id"])
    assert f"{said['actor']} skips it until {until:%Y-%m-%d %H:%M} UTC: {WHY[1]}" in one


def test_an_unskip_gives_it_back_to_triage(warehouse: Warehouse) -> None:
    [before] = run("issues")
    run("issues", "skip", before["issue_id"], *WHY)
    run("issues", "unskip", before["issue_id"], "--reason", "they do not")
    assert run("issues")[0]["triage"] == before["triage"]
    with pytest.raises(BadInput, match="Nobody skips"):
        run("issues", "unskip", before["issue_id"], "--reason", "again")


def test_both_are_rows_of_the_ledger_once(warehouse: Warehouse, engine: Engine) -> None:
    name = run("issues")[0]["issue_id"]
    skip = run("issues", "skip", name[:9], *WHY)["said"]
    run("issues", "unskip", name, "--reason", "they do not")
    kept = Skips(engine, warehouse.root)
    rows = kept.adopt(actor="selfdrive", run_id="r1", now=NOW)
    assert [(row.entry.kind, row.entry.issue_id) for row in rows] == [
        ("issue.skip", name),
        ("issue.unskip", name),
    ]
    assert kept.adopt(actor="selfdrive", run_id="r2", now=NOW) == []
    body = Ledger(engine).entries()[-2].entry.body
    assert (body["by"], body["reason"]) == (skip["actor"], WHY[1])
    until = datetime.fromisoformat(skip["until"])
    assert datetime.fromisoformat(str(body["until"])) == until


REFUSED = {
    "no reason": ("skip", "iss_"),
    "no such issue": ("skip", "iss_0000000000000000", *WHY),
    "no end": ("skip", "iss_", "--for", "ever", *WHY),
    "too long": ("skip", "iss_", "--for", "400d", *WHY),
    "nothing to take back": ("unskip", "iss_", *WHY),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_word_that_makes_no_sense_is_refused(name: str, warehouse: Warehouse) -> None:
    with pytest.raises(BadInput):
        told("issues", *REFUSED[name])
    assert not (warehouse.root / "skips.json").exists()


def test_an_issue_says_what_models_took_for_it(warehouse: Warehouse, engine: Engine) -> None:
    [before] = run("issues")
    name = before["issue_id"]
    assert before["cost_usd"] is None and "models took" not in told("issues")
    purse = Spending(engine).purse("chg_a", name, Caps())
    assert purse.reserve(12_345, "m")
    [after] = run("issues")
    assert after["cost_usd"] == run("issue", name)["cost_usd"] == 0.012345
    assert "models took $0.0124" in told("issues")
    assert "$0.0124" in told("issue", name) and "$0.0124" in told("issues", "--why", name)
