"""`selfdrive pause` and `resume` on a real database: noted, carried out, refused where none is."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.rolling import (
    ALL,
    NOW,
    STAGES,
    TO_APPROVED,
    TO_BAKING,
    TO_CANARY,
    TO_STAGED,
    by,
    led,
)
from sqlalchemy import Engine
from typer.testing import CliRunner

from selfdrive_dagster.adapters.changes import Changes
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.outside import carry_out, is_left_to_others
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.pausing import pause, resume
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State

APP = build_app((Command("pause", pause, "Loop"), Command("resume", resume, "Loop")))
LATER = NOW + timedelta(minutes=1)


@pytest.fixture(autouse=True)
def home(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SELFDRIVE_HOME", str(place))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    return place


def run(*arguments: str) -> str:
    done = CliRunner().invoke(APP, list(arguments), obj=Invocation(), env={"COLUMNS": "250"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def decided(verdict: str, change_id: str, reason: str) -> Any:
    return json.loads(run(verdict, change_id, "--reason", reason, "--json"))["decision"]


def carry(engine: Engine) -> None:
    """Carry what waits out as the controller does."""
    known = frozenset({Fact.LEASE_HELD, Fact.NOT_STOPPED})
    for decision in Decisions(engine).waiting():
        assert is_left_to_others(decision, Changes(engine), LATER)
        who = by(Actor.CONTROLLER)
        carry_out(decision, Changes(engine), engine, by=who, now=LATER, known=known)


@pytest.mark.parametrize("steps", [TO_CANARY, TO_BAKING])
def test_a_pause_holds_a_rollout_and_a_resume_lets_it_go_on(engine: Engine, steps: Any) -> None:
    change = led(engine, "a", *steps)
    assert decided("pause", change.change_id, "the bank is closing")["verdict"] == "pause"
    carry(engine)
    held = Changes(engine).get(change.change_id)
    assert (held.state, held.stage) == (State.HOLD, change.stage)
    decided("resume", change.change_id, "it is open again")
    carry(engine)
    after = Changes(engine).get(change.change_id)
    assert (after.state, after.stage) == (State.CANARY, change.stage)
    rows = Ledger(engine).entries(change.change_id)[-2:]
    assert [row.entry.kind for row in rows] == ["change.pause", "change.resume"]
    assert rows[0].entry.body["reason"] == "the bank is closing"
    assert rows[0].entry.actor == rows[1].entry.actor != "selfdrive"


def test_it_is_said_what_follows(engine: Engine) -> None:
    change = led(engine, "a", *TO_CANARY)
    said = run("pause", change.change_id[:9], "--reason", "a look at it")
    for words in ("decides pause", "a look at it", "next `selfdrive up`", "24 h"):
        assert words in said


def test_a_second_pause_is_the_same_decision(engine: Engine) -> None:
    change = led(engine, "a", *TO_CANARY)
    first = decided("pause", change.change_id, "one")
    assert decided("pause", change.change_id, "two") == first
    assert len(Decisions(engine).of(change.change_id)) == 1


@pytest.mark.parametrize(
    ("verdict", "steps"),
    [("pause", TO_APPROVED), ("pause", TO_STAGED), ("resume", TO_CANARY), ("resume", ())],
)
def test_where_nothing_can_be_held_or_let_go_on_it_is_refused(
    engine: Engine, verdict: str, steps: Any
) -> None:
    change = led(engine, "a", *steps)
    with pytest.raises(Refused, match=f"{verdict} is for one in"):
        run(verdict, change.change_id, "--reason", "because")
    assert Decisions(engine).of(change.change_id) == ()


def test_a_reason_is_needed(engine: Engine) -> None:
    change = led(engine, "a", *TO_CANARY)
    with pytest.raises(BadInput, match="needs a reason"):
        run("pause", change.change_id, "--reason", "  ")


def test_a_pause_that_came_too_late_is_set_aside(engine: Engine) -> None:
    change = led(engine, "a", *TO_CANARY)
    decided("pause", change.change_id, "wait")
    Changes(engine).move(
        change.change_id, Event.HARM, by=by(Actor.ANALYST), now=NOW, facts=ALL, stages=STAGES
    )
    carry(engine)
    assert Ledger(engine).entries(change.change_id)[-1].entry.kind == "decision.set_aside"
    assert Changes(engine).get(change.change_id).state is State.ROLLING_BACK
