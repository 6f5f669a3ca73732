"""`selfdrive breaker`: told where people look, and closed by a signature that can be checked."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from fakes.rolling import ALL, NOW, STAGES, TO_CANARY, by, led
from fakes.signers import ADA, SETTINGS, SignedProduct
from sqlalchemy import Engine
from typer.testing import CliRunner

from selfdrive_dagster.adapters.changes import Changes
from selfdrive_dagster.adapters.signatures import verify
from selfdrive_dagster.adapters.standing import CLOSED
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.breaker import breaker
from selfdrive_dagster.cli.changes import changes
from selfdrive_dagster.cli.doctor.findings import Patient, State
from selfdrive_dagster.cli.doctor.loop import breaker as look_at_breaker
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.closing import NAMESPACE, Closing
from selfdrive_dagster.rollout.lifecycle import Actor, Event

APP = build_app((Command("breaker", breaker, "Loop"), Command("changes", changes, "Loop")))
DRIVEN = SETTINGS + '[rollout]\nactuator = "traefik"\nrun = "python -m shop --port {port}"\n'
WHY = "the proxy was at fault, it is mended"
pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


@pytest.fixture
def shop(
    tmp_path: Path, database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> SignedProduct:
    made = SignedProduct(tmp_path, database_url, engine, DRIVEN)
    monkeypatch.chdir(made.product.path)
    monkeypatch.setenv("SELFDRIVE_HOME", str(made.home))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    monkeypatch.setenv("HOME", str(tmp_path))
    return made


def come_back(engine: Engine, *names: str) -> None:
    """Roll changes out and call them back."""
    for name in names:
        change = led(engine, name, *TO_CANARY)
        for event, role in ((Event.HARM, Actor.ANALYST), (Event.RESTORED, Actor.CONTROLLER)):
            who = by(role)
            Changes(engine).move(change.change_id, event, by=who, now=NOW, facts=ALL, stages=STAGES)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(APP, list(arguments), obj=Invocation(), env={"COLUMNS": "250"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def doctors_word(shop: SignedProduct) -> Any:
    return look_at_breaker(Patient.of(shop.product.path, os.environ))


def test_a_closed_breaker_stops_nothing(shop: SignedProduct, engine: Engine) -> None:
    come_back(engine, "a")
    [one] = told("breaker")
    assert (one["service"], one["opened_at"]) == ("shop", None)
    assert "breaker" not in run("changes")
    assert doctors_word(shop).state is State.FINE
    with pytest.raises(Refused, match="is closed"):
        run("breaker", "--close", "--reason", WHY)


def test_an_open_breaker_is_told_wherever_people_look(shop: SignedProduct, engine: Engine) -> None:
    come_back(engine, "a", "b")
    out = run("breaker")
    assert "2 of 2 changes of shop came back" in out
    assert 'selfdrive breaker shop --close --reason "…"' in out
    assert "breaker of shop is open" in run("changes")
    assert all("came back" in line["breaker"] for line in told("changes", "--all"))
    assert doctors_word(shop).state is State.DEGRADED


def test_a_person_closes_it_by_a_signature(shop: SignedProduct, engine: Engine) -> None:
    come_back(engine, "a", "b")
    [one] = told("breaker", "--close", "--reason", WHY, "--key", str(shop.ada))
    assert one["opened_at"] is None
    [row] = shop.ledger.find(CLOSED, "", {"service": "shop"})
    assert (row.seq, row.entry.actor, row.entry.body["reason"]) == (one["closed_by"], ADA, WHY)
    closing = shop.evidence.get(row.entry.body["digests"]["statement"], Closing)
    signers = shop.product.git("show", f"{closing.signers_at}:.selfdrive/allowed_signers")
    assert verify(closing.to_sign(), row.entry.signature, ADA, signers, NAMESPACE)
    assert "breaker" not in run("changes")


@pytest.mark.parametrize("reason", ["", "sorry"])
def test_a_reason_that_tells_nothing_closes_nothing(
    shop: SignedProduct, engine: Engine, reason: str
) -> None:
    come_back(engine, "a", "b")
    with pytest.raises(BadInput, match="needs a reason"):
        run("breaker", "--close", "--reason", reason, "--key", str(shop.ada))
    assert told("breaker")[0]["opened_at"]


def test_a_key_that_may_not_sign_closes_nothing(shop: SignedProduct, engine: Engine) -> None:
    come_back(engine, "a", "b")
    with pytest.raises(Refused, match="No key of yours"):
        run("breaker", "--close", "--reason", WHY, "--key", str(shop.eve))
    assert shop.ledger.find(CLOSED, "") == ()


def test_an_unknown_service_is_told_with_the_known_ones(
    shop: SignedProduct, engine: Engine
) -> None:
    come_back(engine, "a")
    with pytest.raises(BadInput, match="'till'") as told_of:
        run("breaker", "till")
    assert told_of.value.remedy == "known: shop"
