"""Approvals by real keys over a real repository and database: what is bound, and who may sign."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.hardware_key import HardwareKey
from fakes.signers import (
    ADA,
    EVE,
    SignedProduct,
    agent_of,
    key_of,
    line,
    lock,
)
from msgspec.structs import replace
from sqlalchemy import Engine

from selfdrive_dagster.adapters.approving import (
    advance,
    allowed_signers_at,
    binding_of,
    choose_signer,
    facts_of,
    own_keys,
)
from selfdrive_dagster.adapters.approving.keys import custody_of
from selfdrive_dagster.adapters.signatures import fingerprint
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Verdict, digest
from selfdrive_dagster.rollout.approval import Statement
from selfdrive_dagster.rollout.custody import Custody

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


@pytest.fixture
def shop(tmp_path: Path, database_url: str, engine: Engine) -> Iterator[SignedProduct]:
    made = SignedProduct(tmp_path, database_url, engine)
    yield made
    made.workshop.close()


def test_a_binding_names_what_was_decided_on(shop: SignedProduct) -> None:
    put = shop.propose()
    binding = binding_of(found.CHANGE, shop.desk)
    assert binding.change_id == found.CHANGE
    assert binding.patch == put.patch_sha256
    assert binding.base == shop.base
    assert binding.tree == shop.product.git("rev-parse", f"{put.branch}^{{tree}}")
    assert binding.report == put.report_sha256
    assert facts_of(found.CHANGE, shop.desk).diff.count("DEFAULT_RATE") == 1


def test_other_rules_are_another_policy(shop: SignedProduct) -> None:
    shop.propose()
    before = binding_of(found.CHANGE, shop.desk)
    toml = shop.product.path / "selfdrive.toml"
    plain = toml.read_text()
    rules = (
        '[autonomy]\nlevel = "L2"\n',
        "[autonomy]\nprotected = []\n",
        '[rollout]\nplan = "demo"\n',
    )
    for rule in rules:
        toml.write_text(plain + rule)
        assert binding_of(found.CHANGE, shop.desk).differing(before) == ("policy",)
    toml.write_text(f"{plain}[telemetry]\nlisten = '127.0.0.1:4319'\n")
    assert binding_of(found.CHANGE, shop.desk) == before


def test_who_may_sign_is_read_at_the_base_alone(shop: SignedProduct) -> None:
    """Neither the working tree nor a later commit adds an approver."""
    shop.product.write(".selfdrive/allowed_signers", line(EVE, shop.eve))
    assert allowed_signers_at(shop.desk.repository, shop.base) == line(ADA, shop.ada)
    shop.product.commit("Let Eve approve")
    shop.propose()
    with pytest.raises(Refused, match="No key of yours may approve"):
        shop.sign(shop.eve)


def test_where_nobody_is_named_nobody_approves(shop: SignedProduct) -> None:
    shop.product.git("rm", "-q", ".selfdrive/allowed_signers")
    shop.base = shop.product.commit("Forget them")
    shop.propose()
    with pytest.raises(Refused, match="Nobody may approve") as caught:
        facts_of(found.CHANGE, shop.desk)
    assert ".selfdrive/allowed_signers" in caught.value.remedy


def test_an_approval_holds_and_tells_who_gave_it(shop: SignedProduct) -> None:
    shop.propose()
    decision = shop.sign()
    assert decision.verdict == "approve"
    assert decision.actor == ADA
    assert decision.digests["fingerprint"] == fingerprint(shop.ada)
    assert decision.digests["custody"] == "file"
    statement = shop.evidence.get(decision.digests["statement"], Statement)
    assert digest(statement.to_sign()) == decision.digests["statement"]
    with pytest.raises(Refused, match="Nobody approved"):
        shop.approvals.holding(found.CHANGE, datetime.now(UTC))
    shop.carry_out(decision)
    assert shop.approvals.holding(found.CHANGE, datetime.now(UTC)) == statement


def test_what_a_mitigation_invents_is_typed(shop: SignedProduct) -> None:
    shop.propose(found.contained())
    with pytest.raises(BadInput, match="returns 0 where it raised KeyError"):
        shop.sign()
    decision = shop.sign(typed="returns 0 where it raised KeyError")
    statement = shop.evidence.get(decision.digests["statement"], Statement)
    assert statement.invented == "returns 0 where it raised KeyError"


def test_what_was_not_proven_cannot_be_approved(shop: SignedProduct) -> None:
    shop.propose(found.unproven())
    with pytest.raises(Refused, match="Nothing was proven"):
        facts_of(found.CHANGE, shop.desk)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"verdict": Verdict.INCONCLUSIVE}, "Nothing was proven"),
        ({"sandbox_level": "partial"}, "sandbox of level partial"),
        ({"patch_sha256": "0" * 64}, "another patch"),
    ],
)
def test_a_report_that_proves_too_little_is_no_ground(
    shop: SignedProduct, other: dict[str, object], why: str
) -> None:
    made = found.certified()
    reports = tuple(replace(report, **other) for report in made.proof.reports)
    shop.propose(replace(made, proof=replace(made.proof, reports=reports)))
    with pytest.raises(Refused, match=why):
        facts_of(found.CHANGE, shop.desk)


def test_a_key_is_found_where_its_owner_keeps_it(shop: SignedProduct, tmp_path: Path) -> None:
    signers = line(ADA, shop.ada) + line("*@example.com", shop.eve)
    (tmp_path / ".ssh").mkdir()
    shutil.copy(shop.ada, tmp_path / ".ssh" / "id_ed25519")
    environ = {"HOME": str(tmp_path)}
    keys = list(own_keys(environ, shop.product.path, tmp_path))
    assert keys == [tmp_path / ".ssh" / "id_ed25519"]
    assert choose_signer(keys, signers).principal == ADA
    blob = shop.eve.with_suffix(".pub").read_text().strip()
    shop.product.git("config", "user.signingkey", f"key::{blob}")
    keys = list(own_keys(environ, shop.product.path, tmp_path))
    assert fingerprint(keys[0]) == fingerprint(shop.eve)
    assert choose_signer(keys, signers).principal == ADA, "a pattern alone names nobody"
    assert choose_signer(keys, signers, EVE).principal == EVE
    shop.product.git("config", "user.signingkey", str(shop.eve))
    assert next(own_keys(environ, shop.product.path, tmp_path)) == shop.eve
    with pytest.raises(Refused, match="as bob"):
        choose_signer([shop.ada], signers, "bob")


def test_where_a_key_lies_is_known(tmp_path: Path) -> None:
    plain, locked, public = (key_of(tmp_path, name) for name in ("plain", "locked", "public"))
    lock(locked)
    public.unlink()
    alone: dict[str, str] = {}
    assert custody_of(plain, alone) is Custody.FILE
    assert custody_of(plain.with_suffix(".pub"), alone) is Custody.FILE
    assert custody_of(locked, alone) is Custody.LOCKED
    assert custody_of(public.with_suffix(".pub"), alone) is Custody.ELSEWHERE
    assert custody_of(HardwareKey(tmp_path).path, alone) is Custody.HARDWARE
    with agent_of(tmp_path, plain) as socket:
        assert custody_of(plain.with_suffix(".pub"), {"SSH_AUTH_SOCK": socket}) is Custody.AGENT
        assert custody_of(locked, {"SSH_AUTH_SOCK": socket}) is Custody.LOCKED


def test_what_only_the_account_had_to_be_had_for_proves_no_person() -> None:
    assert {one for one in Custody if one.proves_person} == {Custody.LOCKED, Custody.HARDWARE}
    assert {one for one in Custody if "proves no person" not in one.says} == {
        Custody.LOCKED,
        Custody.HARDWARE,
    }


def test_an_advance_is_for_one_stage_and_one_day(shop: SignedProduct) -> None:
    shop.propose()
    desk, now = shop.desk, datetime.now(UTC)
    facts = facts_of(found.CHANGE, desk)
    signer = choose_signer([shop.ada], facts.signers)
    reason = "nights are quiet, I watched it"
    given = {"reason": reason, "now": now}
    with pytest.raises(BadInput, match="has met no user"):
        advance(facts, desk, shop.decisions, signer, stage=0, **given)
    decision = advance(facts, desk, shop.decisions, signer, stage=2, **given)
    assert shop.approvals.advancing(decision, 2, now).statement.stage == 2
    for stage, then, why in ((3, now, "not for stage 3"), (2, now + timedelta(days=1), "expired")):
        with pytest.raises(Refused, match=why):
            shop.approvals.advancing(decision, stage, then)
    with pytest.raises(Refused, match="not to approve"):
        shop.approvals.examine(decision, now)
    with pytest.raises(Refused, match="not to advance"):
        shop.approvals.advancing(shop.sign(), 2, now)
