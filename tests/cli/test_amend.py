"""`selfdrive amend`: signed by its author, proven by the same gate, approved by somebody else."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes import made_findings as found
from fakes.signers import ADA, EVE, SignedProduct, line
from msgspec.structs import replace
from sqlalchemy import Engine
from typer.testing import CliRunner

from selfdrive_dagster.adapters.auditing import case_of
from selfdrive_dagster.adapters.auditing.signed import of_signatures
from selfdrive_dagster.audit import answers
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.amend import amend
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.orchestration.proposing import look_around
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.rollout.amendment import Amendment
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State

APP = build_app((Command("amend", amend, "Loop"), Command("other", amend, "Loop")))
WHY = "an unknown zone must cost the dear rate"
FIXED = found.SOURCE.replace("RATES[zone]", "RATES.get(zone, max(RATES.values()))")
PATCH = "Invents: the dear rate for an unknown zone\n" + render_diff(
    "shop/shipping.py", found.SOURCE, FIXED
)
pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


@pytest.fixture
def shop(
    tmp_path: Path, database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SignedProduct]:
    """A product where Ada and Eve may sign, with a change that waits for approval."""
    made = SignedProduct(tmp_path, database_url, engine)
    signers = line(ADA, made.ada) + line(EVE, made.eve)
    made.product.write(".selfdrive/allowed_signers", signers)
    made.base = made.product.commit("Let Eve sign as well")
    made.propose()
    monkeypatch.chdir(made.product.path)
    monkeypatch.setenv("SELFDRIVE_HOME", str(made.home))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield made
    made.workshop.close()


def run(shop: SignedProduct, *arguments: str, patch: str = PATCH, reason: str = WHY) -> Any:
    file = shop.folder / "edited.patch"
    file.write_text(patch)
    command = ["amend", found.CHANGE, "--patch", str(file), "--reason", reason, "--json"]
    command += arguments or ("--key", str(shop.eve))
    done = CliRunner().invoke(APP, command, obj=Invocation())
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["decision"]


def state(shop: SignedProduct) -> State:
    change = shop.changes.get(found.CHANGE)
    assert change is not None
    return change.state


def test_an_amendment_goes_back_to_the_gate_in_its_authors_name(shop: SignedProduct) -> None:
    before = shop.ledger.entries(found.CHANGE)
    assert run(shop)["actor"] == EVE
    assert look_around(shop.workshop, "run-8")["faults"] == []
    assert state(shop) is State.VALIDATING
    [*_, row] = shop.ledger.entries(found.CHANGE)
    assert (row.entry.kind, row.entry.actor) == ("change.patch_edited", EVE)
    kept = shop.evidence.get(row.entry.body["digests"]["statement"], Amendment)
    assert (kept.patch, kept.author, kept.reason) == (PATCH, EVE, WHY)
    assert kept.replaces == shop.product.git("rev-parse", f"loop/{found.CHANGE}").strip()
    assert shop.ledger.entries(found.CHANGE)[: len(before)] == before


def test_an_amended_change_is_drafted_by_its_author_alone(shop: SignedProduct) -> None:
    assert [one.name for one in shop.workshop.proposers(found.CHANGE)] == ["builtin"]
    run(shop)
    look_around(shop.workshop, "run-8")
    [only] = shop.workshop.proposers(found.CHANGE)
    product, _ = shop.workshop.product(shop.base)
    [draft] = only.propose(found.diagnosis(), product, limit=5)
    assert (draft.source, draft.invented) == (FIXED, "the dear rate for an unknown zone")
    assert [one.name for one in shop.workshop.proposers("chg_0000000000000000")] == ["builtin"]


def test_an_author_cannot_approve_what_they_amended(shop: SignedProduct) -> None:
    run(shop)
    look_around(shop.workshop, "run-8")
    shop.move(Event.PROVEN, Actor.VALIDATOR)
    shop.move(Event.PROPOSE, Actor.LOOP)
    with pytest.raises(Refused, match="made this change and cannot approve"):
        shop.sign(shop.eve)
    assert shop.sign(shop.ada).actor == ADA


def test_an_approval_does_not_outlive_an_amendment(shop: SignedProduct) -> None:
    shop.carry_out(shop.sign(shop.ada))
    run(shop)
    look_around(shop.workshop, "run-8")
    assert state(shop) is State.VALIDATING
    with pytest.raises(Refused, match="went to validating after it was approved"):
        shop.approvals.holding(found.CHANGE, datetime.now(UTC))


def test_the_audit_knows_the_author_and_the_signature(shop: SignedProduct) -> None:
    run(shop)
    look_around(shop.workshop, "run-8")
    case = case_of(shop.changes.get(found.CHANGE), shop.ledger, shop.evidence)
    told = {answer.question: answer.says for answer in answers(case)}
    assert told["Who or what made it?"].startswith(EVE)
    repository = shop.workshop.repository()
    assert list(of_signatures(case, shop.evidence, repository)) == []
    *rows, edited = case.rows
    forged = replace(edited, entry=replace(edited.entry, actor=ADA))
    faults = list(of_signatures(replace(case, rows=(*rows, forged)), shop.evidence, repository))
    assert any("change.patch_edited: eve@example.com amended" in fault for fault in faults)


def test_an_amendment_that_nobody_signed_is_set_aside(shop: SignedProduct) -> None:
    real = run(shop)
    shop.decisions.record(
        found.CHANGE, "amend", actor=ADA, reason=WHY, now=datetime.now(UTC),
        digests=real["digests"], signature=real["signature"],
    )  # fmt: skip
    shop.engine.dispose()
    look_around(shop.workshop, "run-8")
    rows = shop.ledger.find("decision.set_aside", found.CHANGE)
    assert [row.entry.body["by"] for row in rows] == [ADA]


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ("no diff at all", WHY),
        (PATCH.replace("RATES[zone]", "TABLE[zone]"), WHY),
        (PATCH, "hm"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(shop: SignedProduct, patch: str, reason: str) -> None:
    with pytest.raises(BadInput):
        run(shop, patch=patch, reason=reason)
    assert shop.decisions.waiting() == ()


def test_a_change_that_was_decided_on_keeps_its_patch(shop: SignedProduct) -> None:
    run(shop)
    with pytest.raises(Refused, match="waits already"):
        run(shop)
    shop.move(Event.REJECT, Actor.HUMAN)
    with pytest.raises(Refused, match="its patch is fixed"):
        run(shop)
