"""`selfdrive approve` and `advance`: shown first, signed by a real key, noted for the loop."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes import made_findings as found
from fakes.selfdrive_program import ROOT
from fakes.signers import ADA, SignedProduct, key_of
from sqlalchemy import Engine
from typer.testing import CliRunner

from selfdrive_dagster.adapters.signatures import fingerprint
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.approve import advance, approve
from selfdrive_dagster.cli.changes import changes
from selfdrive_dagster.cli.demo.theatre import APPROVER
from selfdrive_dagster.cli.showing import show
from selfdrive_dagster.errors import BadInput, MissingTool, Refused
from selfdrive_dagster.patches.authors import author_of, names_of
from selfdrive_dagster.rollout.approval import Approval, Statement
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State

APP = build_app(
    (
        Command("approve", approve, "Loop"),
        Command("advance", advance, "Loop"),
        Command("changes", changes, "Loop"),
        Command("show", show, "Loop"),
    )
)
WHY = "I read the diff and ran it"
pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


def run(*arguments: str) -> str:
    done = CliRunner().invoke(APP, list(arguments), obj=Invocation(), env={"COLUMNS": "250"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def shop(
    tmp_path: Path, database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SignedProduct]:
    """Ada's shop; she stands in its folder, and her key lies where keys lie."""
    made = SignedProduct(tmp_path, database_url, engine)
    (tmp_path / ".ssh").mkdir()
    for name in ("ada", "ada.pub"):
        shutil.copy(tmp_path / name, tmp_path / ".ssh" / name.replace("ada", "id_ed25519"))
    monkeypatch.chdir(made.product.path)
    monkeypatch.setenv("SELFDRIVE_HOME", str(made.home))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    yield made
    made.workshop.close()


def carried_out(shop: SignedProduct) -> None:
    """Do what the loop's run does with the decision that waits."""
    [decision] = shop.decisions.waiting()
    kept = shop.approvals.examine(decision, datetime.now(UTC))
    shop.note("rollout/approval", kept)
    shop.carry_out(decision)


def test_what_is_signed_is_shown_first(shop: SignedProduct) -> None:
    shop.propose()
    drawn = run("approve", found.CHANGE, "--reason", WHY)
    shown, signed = drawn.index("+    return RATES.get(zone, DEFAULT_RATE)"), drawn.index("Signed:")
    assert shown < drawn.index("certified repair: every check passed") < signed
    for name in (ADA, fingerprint(shop.ada), "proves no person", "next `selfdrive up`"):
        assert name in drawn
    assert shop.changes.get(found.CHANGE).state is State.AWAITING_APPROVAL
    assert "approve waits" in run("changes")


def test_the_author_of_a_handed_in_patch_is_shown_first(shop: SignedProduct) -> None:
    shop.propose(found.handed_in("Eve <e@b.c>"))
    drawn = run("approve", found.CHANGE, "--reason", WHY)
    assert drawn.index("Handed in, its author: Eve <e@b.c>") < drawn.index("Signed:")


def test_the_demonstrations_approver_did_not_make_the_patch_that_it_hands_in() -> None:
    for patch in (ROOT / "examples" / "shop" / "drafts").glob("*.patch"):
        names = names_of(author_of(patch.read_text(encoding="utf-8")))
        assert names and APPROVER not in names


def test_the_board_and_the_page_tell_who_approved(shop: SignedProduct) -> None:
    shop.propose()
    decision = told("approve", found.CHANGE, "--reason", WHY)["decision"]
    assert decision["digests"]["base"] == shop.base
    assert told("approve", found.CHANGE, "--reason", WHY)["decision"] == decision
    carried_out(shop)
    statement = shop.evidence.get(decision["digests"]["statement"], Statement)
    [line] = told("changes")
    assert (line["state"], line["approved_by"]) == ("approved", ADA)
    assert datetime.fromisoformat(line["approved_until"]) == statement.expires
    for drawn in (run("changes"), run("show", found.CHANGE)):
        assert ADA in drawn
        assert f"{statement.expires:%m-%d %H:%M}" in drawn
    assert "proves no person" in run("show", found.CHANGE)
    approval = told("show", found.CHANGE)["approval"]
    assert (approval["reason"], approval["custody"]) == (WHY, "file")
    with pytest.raises(Refused, match="does not wait for this"):
        run("approve", found.CHANGE, "--reason", WHY)


def test_an_approval_whose_record_is_lost_tells_no_expiry(shop: SignedProduct) -> None:
    shop.propose()
    run("approve", found.CHANGE, "--reason", WHY)
    carried_out(shop)
    shop.evidence.path(shop.ledger_digest("rollout/approval")).unlink()
    assert told("changes")[0]["approved_until"] is None
    assert "until NOT RECORDED" in run("show", found.CHANGE)


def test_a_mitigation_wants_its_invention_typed(shop: SignedProduct) -> None:
    shop.propose(found.contained())
    with pytest.raises(BadInput, match="mitigation") as caught:
        run("approve", found.CHANGE, "--reason", WHY)
    assert '--invented "returns 0 where it raised KeyError"' in caught.value.remedy
    assert shop.decisions.waiting() == ()
    given = ("--invented", "returns 0 where it raised KeyError")
    decision = told("approve", found.CHANGE, "--reason", WHY, *given)["decision"]
    assert decision["verdict"] == "approve"


def test_a_key_can_be_named_and_must_be_allowed(shop: SignedProduct) -> None:
    shop.propose()
    with pytest.raises(Refused, match="No key of yours may approve"):
        run("approve", found.CHANGE, "--reason", WHY, "--key", str(shop.eve))
    with pytest.raises(BadInput, match="no key"):
        run("approve", found.CHANGE, "--reason", WHY, "--key", "nowhere")
    with pytest.raises(Refused, match="as eve"):
        run("approve", found.CHANGE, "--reason", WHY, "--as", "eve")
    with pytest.raises(BadInput, match="reason"):
        run("approve", found.CHANGE, "--reason", "ok")
    assert shop.decisions.waiting() == ()
    other = key_of(shop.folder, "other")
    assert fingerprint(other) != fingerprint(shop.ada)
    given = ("--key", str(shop.ada), "--as", ADA)
    assert told("approve", found.CHANGE, "--reason", WHY, *given)["decision"]["actor"] == ADA


def test_it_says_where_it_wants_to_be_called(
    shop: SignedProduct, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.propose()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingTool, match="no git repository") as caught:
        run("approve", found.CHANGE, "--reason", WHY)
    assert "--repo" in caught.value.remedy
    repo = ("--repo", str(shop.product.path))
    assert told("approve", found.CHANGE, "--reason", WHY, *repo)["decision"]["actor"] == ADA


def test_a_step_on_weak_evidence_is_signed_for_the_stage_it_leaves(shop: SignedProduct) -> None:
    shop.propose()
    shop.carry_out(shop.sign())
    with pytest.raises(Refused, match="does not wait for this"):
        run("advance", found.CHANGE, "--reason", WHY)
    on_hold(shop)
    decision = told("advance", found.CHANGE, "--reason", WHY)["decision"]
    assert decision["verdict"] == "advance_on_weak_evidence"
    [waiting] = shop.decisions.waiting()
    found_it = shop.approvals.advancing(waiting, 1, datetime.now(UTC))
    assert isinstance(found_it, Approval)


def on_hold(shop: SignedProduct) -> None:
    """Lead a change to its first stage, and hold it there for want of visitors."""
    for event, role in (
        (Event.BUILT, Actor.CONTROLLER),
        (Event.EXPOSED, Actor.CONTROLLER),
        (Event.STALLED, Actor.ANALYST),
    ):
        shop.changes.move(
            found.CHANGE,
            event,
            by=shop.by(role),
            now=datetime.now(UTC),
            facts=frozenset(Fact),
            stages=2,
        )
