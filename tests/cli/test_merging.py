"""`selfdrive issues merge`, `split`, `undo`, `like`: noted, shown at once, in the ledger after."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.verdicts import Verdicts
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.issues import issues
from selfdrive_dagster.cli.merging import PARTS
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry import Arrival, Redactor, read_records

APP = build_app((Command("issues", issues, "Loop", PARTS),))
MODELS = load_models(Path(__file__).parents[2] / "sql")
NOW = datetime.now(UTC)

TRACE = """Traceback (most recent call last):
  File "/app/shop/views.py", line 10, in handle
    {call}
  File "/app/shop/cart.py", line 20, in {function}
    {line}
{error}
"""
CRASHES = {
    "cart": TRACE.format(
        call="total(basket)", function="total", line="rate = rates[0]", error="IndexError: none"
    ),
    "renamed": TRACE.format(
        call="sum_up(basket)", function="sum_up", line="rate = rates[0]", error="IndexError: none"
    ),
    "price": TRACE.format(
        call="price(item)", function="price", line="return item.cost", error="KeyError: 'cost'"
    ),
}


@pytest.fixture(autouse=True)
def home(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SELFDRIVE_HOME", str(place))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    return place


def run(*arguments: str) -> Any:
    words = ["issues", *arguments, "--json"]
    done = CliRunner().invoke(APP, words, obj=Invocation(), env={"COLUMNS": "250"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    known = Warehouse(home)
    for name in ("cart", "price"):
        take(known, name)
    return known


def take(warehouse: Warehouse, name: str) -> None:
    arrival = Arrival(received_at=NOW, redactor=Redactor(key=bytes(32)))
    rows = read_records(CRASHES[name].encode(), name, arrival).exceptions
    warehouse.append("exceptions", rows)
    refresh(warehouse, MODELS)


def named(warehouse: Warehouse) -> dict[str, str]:
    rows = warehouse.query("SELECT culprit, issue_id FROM issue_events").rows()
    return {culprit.rpartition(".")[2]: issue_id for culprit, issue_id in rows}


def test_a_merge_is_noted_followed_and_written_into_the_ledger(
    warehouse: Warehouse, engine: Engine
) -> None:
    total, price = named(warehouse)["total"], named(warehouse)["price"]
    said = run("merge", total, price, "--reason", "both read the old file")["verdict"]
    assert (said["name"], said["issue_id"]) == (price, total)
    rows = Verdicts(engine, warehouse.root).adopt(actor="selfdrive", run_id="r1", now=NOW)
    assert [(row.entry.kind, row.entry.issue_id) for row in rows] == [("issue.merge", total)]
    assert Ledger(engine).entries()[-1].entry.body["reason"] == "both read the old file"
    assert Verdicts(engine, warehouse.root).adopt(actor="selfdrive", run_id="r2", now=NOW) == []
    refresh(warehouse, MODELS)
    assert set(named(warehouse).values()) == {total}
    assert [each["issue_id"] for each in run()] == [total]


def test_an_undone_merge_is_two_issues_again(warehouse: Warehouse) -> None:
    before = named(warehouse)
    run("merge", before["total"], before["price"], "--reason", "one file")
    refresh(warehouse, MODELS)
    run("undo", before["price"], "--reason", "two files after all")
    refresh(warehouse, MODELS)
    assert named(warehouse) == before


def test_what_alignment_put_together_can_be_split(warehouse: Warehouse) -> None:
    total = named(warehouse)["total"]
    take(warehouse, "renamed")
    [member] = run("like")["members"]
    assert {member["fingerprint"], member["issue_id"]} > {total}
    run("split", member["issue_id"], member["fingerprint"], "--reason", "another table of rates")
    refresh(warehouse, MODELS)
    assert named(warehouse)["sum_up"] != named(warehouse)["total"]
    [kept] = run("like")["members"]
    assert kept["reason"] == "another table of rates"


def test_a_file_read_alone_follows_what_was_decided(warehouse: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_text(CRASHES["cart"] + CRASHES["price"])
    assert len(run(str(file))) == 2
    run("merge", named(warehouse)["total"], named(warehouse)["price"], "--reason", "one file")
    assert len(run(str(file))) == 1


REFUSED = {
    "no reason": lambda one, other: ("merge", one, other),
    "no such issue": lambda one, _: ("merge", one, "iss_0000000000000000", "--reason", "x"),
    "one already": lambda one, _: ("merge", one, one, "--reason", "x"),
    "nothing to undo": lambda one, _: ("undo", one, "--reason", "x"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_verdict_that_makes_no_sense_is_refused(name: str, warehouse: Warehouse) -> None:
    known = named(warehouse)
    with pytest.raises(BadInput):
        run(*REFUSED[name](known["total"], known["price"]))
    assert not (warehouse.root / "verdicts.json").exists()
