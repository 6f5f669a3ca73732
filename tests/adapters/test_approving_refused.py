"""What must never pass for an approval: forged, replayed, expired, one's own, or of another thing.

Each is tried on a real database, repository and key, and refused with a reason of its own.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget, PythonFileTarget
from dagster_webserver.webserver import DagsterWebserver
from fakes import made_findings as found
from fakes.selfdrive_program import ROOT
from fakes.signers import ADA, EVE, SETTINGS, SignedProduct, agent_of, line, lock
from msgspec.structs import replace
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from assets.rollout import approval
from selfdrive_dagster.adapters.approving import choose_signer, facts_of
from selfdrive_dagster.adapters.approving.holding import judge, require_person
from selfdrive_dagster.adapters.decisions import Decision
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import short_id
from selfdrive_dagster.orchestration.approving import to_approve
from selfdrive_dagster.orchestration.pins import pin
from selfdrive_dagster.orchestration.proposing import look_around
from selfdrive_dagster.orchestration.stages import CHANGE
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.approval import Approval, Statement
from selfdrive_dagster.rollout.custody import Custody
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State
from selfdrive_dagster.validation import Proof

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
OTHER = short_id("chg", "other", 1)
DRIVEN = f'{SETTINGS}[autonomy]\nlevel = "L3"\n'


@pytest.fixture
def shop(tmp_path: Path, database_url: str, engine: Engine) -> Iterator[SignedProduct]:
    made = SignedProduct(tmp_path, database_url, engine)
    yield made
    made.workshop.close()


@pytest.fixture
def approved(shop: SignedProduct) -> SignedProduct:
    """A change that Ada approved."""
    shop.propose()
    shop.carry_out(shop.sign())
    shop.approvals.holding(found.CHANGE, datetime.now(UTC))
    return shop


def state(shop: SignedProduct, change_id: str = found.CHANGE) -> State:
    change = shop.changes.get(change_id)
    assert change is not None
    return change.state


def altered(shop: SignedProduct, statement: str) -> None:
    """Do to the ledger's table what only its owner can: the trigger is switched off."""
    with shop.engine.begin() as connection:
        connection.execute(text("ALTER TABLE selfdrive.ledger DISABLE TRIGGER USER"))
        connection.execute(text(statement))
        connection.execute(text("ALTER TABLE selfdrive.ledger ENABLE TRIGGER USER"))


def moved_branch(shop: SignedProduct) -> None:
    branch = f"loop/{found.CHANGE}"
    tree = shop.product.git("rev-parse", "main^{tree}")
    evil = shop.product.git("commit-tree", tree, "-p", shop.base, "-m", "Fix it")
    shop.product.git("branch", "-f", branch, evil)


def deleted_branch(shop: SignedProduct) -> None:
    shop.product.git("branch", "-D", f"loop/{found.CHANGE}")


def edited_report(shop: SignedProduct) -> None:
    path = shop.evidence.path(shop.ledger_digest("validation/report"))
    path.write_bytes(path.read_bytes().replace(b"every check passed", b"every check passes"))


def lost_statement(shop: SignedProduct) -> None:
    [row] = shop.ledger.find("change.approve", found.CHANGE)
    shop.evidence.path(row.entry.body["digests"]["statement"]).unlink()


def other_report(shop: SignedProduct) -> None:
    proof = shop.findings(found.certified()).proof
    reports = tuple(replace(report, seed=8) for report in proof.reports)
    shop.note("validation/report", replace(proof, reports=reports))


def altered_row(shop: SignedProduct) -> None:
    altered(shop, f"UPDATE selfdrive.ledger SET actor = '{EVE}' WHERE kind = 'change.approve'")


def other_rules(shop: SignedProduct) -> None:
    toml = shop.product.path / "selfdrive.toml"
    toml.write_text(toml.read_text() + "[autonomy]\nprotected = []\n")


def rewritten_history(shop: SignedProduct) -> None:
    tree = shop.product.git("rev-parse", "main^{tree}")
    anew = shop.product.git("commit-tree", tree, "-m", "Anew")
    shop.product.git("update-ref", "refs/heads/main", anew)


def revoked_signer(shop: SignedProduct) -> None:
    shop.product.commit("Trust Eve", **{".selfdrive/allowed_signers": line(EVE, shop.eve)})


def revoked_all(shop: SignedProduct) -> None:
    shop.product.git("rm", "-q", ".selfdrive/allowed_signers")
    shop.product.commit("Trust nobody")


def refused_later(shop: SignedProduct) -> None:
    shop.move(Event.REJECT, Actor.HUMAN)


def base_moved(shop: SignedProduct) -> None:
    shop.move(Event.BASE_MOVED, Actor.GUARD)


DEEDS = {
    "the branch was moved": (moved_branch, r"is at \w+; what was proven is"),
    "the branch was deleted": (deleted_branch, "is gone; what was proven"),
    "the report was edited": (edited_report, "ALTERED"),
    "the statement is lost": (lost_statement, "NOT RECORDED"),
    "it was proven anew": (other_report, "was proposed with another report"),
    "the ledger's row was altered": (altered_row, "of the ledger was altered"),
    "the product's branch left its base": (rewritten_history, "no part of the product's branch"),
    "the rules were changed": (other_rules, "is for another policy"),
    "its signer was taken out": (revoked_signer, "no longer stands in .selfdrive/allowed_signers"),
    "nobody may sign any more": (revoked_all, "Nobody may approve"),
    "it was refused afterwards": (refused_later, "went to rejected after"),
    "the base moved": (base_moved, "went to validating after"),
}


@pytest.mark.parametrize(("deed", "why"), DEEDS.values(), ids=DEEDS.keys())
def test_an_approval_no_longer_holds_once(
    approved: SignedProduct, deed: Callable[[SignedProduct], None], why: str
) -> None:
    deed(approved)
    with pytest.raises(Refused, match=why):
        approved.approvals.holding(found.CHANGE, datetime.now(UTC))


def test_whoever_was_taken_out_is_told_before_they_sign(shop: SignedProduct) -> None:
    shop.propose()
    revoked_signer(shop)
    with pytest.raises(Refused, match="no longer stands in"):
        shop.sign()
    assert shop.decisions.of(found.CHANGE) == ()


def test_a_signer_who_still_stands_there_among_others_may_go_on(approved: SignedProduct) -> None:
    both = line(EVE, approved.eve) + line(ADA, approved.ada)
    approved.product.commit("Trust Eve too", **{".selfdrive/allowed_signers": both})
    assert approved.approvals.holding(found.CHANGE, datetime.now(UTC)).approver == ADA


def test_an_approval_expires(approved: SignedProduct) -> None:
    now = datetime.now(UTC)
    approved.approvals.holding(found.CHANGE, now + timedelta(days=6))
    with pytest.raises(Refused, match="expired"):
        approved.approvals.holding(found.CHANGE, now + timedelta(days=8))


def test_an_approval_is_not_replayed_for_another_change(shop: SignedProduct) -> None:
    shop.propose()
    shop.propose(change_id=OTHER)
    decision = shop.sign()
    shop.carry_out(decision, OTHER)
    with pytest.raises(Refused, match="is for another change_id"):
        shop.approvals.holding(OTHER, datetime.now(UTC))
    with pytest.raises(Refused, match="is for another change_id"):
        shop.approvals.examine(replace(decision, change_id=OTHER), datetime.now(UTC))


def test_a_signature_is_not_lent_to_another_statement(shop: SignedProduct) -> None:
    shop.propose()
    decision = shop.sign()
    statement = shop.evidence.get(decision.digests["statement"], Statement)
    later = replace(statement, expires=statement.expires + timedelta(days=365))
    digests = {**decision.digests, "statement": shop.evidence.put(later)}
    with pytest.raises(Refused, match="No signature of"):
        shop.approvals.examine(replace(decision, digests=digests), datetime.now(UTC))


def test_nobody_approves_what_they_made(shop: SignedProduct) -> None:
    """Whoever amended is an author, under any name that their key goes by."""
    names = f"{ADA},a.lovelace"
    shop.product.write(".selfdrive/allowed_signers", line(names, shop.ada))
    shop.base = shop.product.commit("Two names for Ada")
    shop.propose()
    edited = Entry(at=datetime.now(UTC), actor="A.Lovelace", kind="change.patch_edited",
                   change_id=found.CHANGE, run_id="run-3")  # fmt: skip
    shop.ledger.append(edited)
    with pytest.raises(Refused, match="made this change"):
        shop.sign()


@pytest.mark.parametrize("author", [f"Ada L <{ADA.upper()}>", "Eve <e@b.c>, a.lovelace <x@y.z>"])
def test_nobody_approves_what_they_handed_in(shop: SignedProduct, author: str) -> None:
    names = f"{ADA},a.lovelace"
    shop.product.write(".selfdrive/allowed_signers", line(names, shop.ada))
    shop.base = shop.product.commit("Two names for Ada")
    shop.propose(found.handed_in(author))
    with pytest.raises(Refused, match="made this change"):
        shop.sign()


def test_a_statement_with_another_author_holds_for_nothing(shop: SignedProduct) -> None:
    shop.propose(found.handed_in("Eve <e@b.c>"))
    decision = shop.sign()
    statement = shop.evidence.get(decision.digests["statement"], Statement)
    assert statement.author == "Eve <e@b.c>"
    desk = shop.desk
    with pytest.raises(Refused, match="The loop was signed as the author"):
        judge(
            replace(statement, author=""),
            facts_of(found.CHANGE, desk),
            decision.digests["fingerprint"],
            desk.settings,
            datetime.now(UTC),
        )


def test_a_base_of_ones_own_lets_nobody_in(shop: SignedProduct) -> None:
    """Whoever may write to git and the ledger still cannot name their own signers."""
    shop.product.git("checkout", "-q", "-b", "aside")
    shop.product.write(".selfdrive/allowed_signers", line(EVE, shop.eve))
    shop.base = shop.product.commit("Let Eve approve")
    shop.product.git("checkout", "-q", "main")
    shop.propose()
    with pytest.raises(Refused, match="no part of the product's branch"):
        shop.sign(shop.eve)


@pytest.mark.parametrize("how", ["another tree", "another base"])
def test_a_commit_that_is_not_what_was_proven_is_refused(shop: SignedProduct, how: str) -> None:
    """A proposal's record can be forged by who writes to the ledger; its commit is made anew."""
    put = shop.propose()
    tree = shop.product.git("rev-parse", f"{put.branch}^{{tree}}")
    parent = shop.base
    if how == "another tree":
        shop.product.git("checkout", "-q", put.branch)
        shop.product.write("shop/shipping.py", "def shipping_cost(zone):\n    return 0\n")
        shop.product.git("add", "-A")
        tree = shop.product.git("write-tree")
        shop.product.git("checkout", "-q", "-f", "main")
    else:
        parent = shop.product.commit("Go on")
    evil = shop.product.git("commit-tree", tree, "-p", parent, "-m", "Fix it")
    shop.product.git("branch", "-f", put.branch, evil)
    shop.note("rollout/proposal", replace(put, commit=evil))
    with pytest.raises(Refused, match=r"something else than|does not stand on"):
        shop.sign()


def test_the_loop_does_not_approve_itself(shop: SignedProduct) -> None:
    shop.product.write(".selfdrive/allowed_signers", line("selfdrive@localhost", shop.ada))
    shop.base = shop.product.commit("Trust the loop")
    shop.propose()
    with pytest.raises(Refused, match="made this change"):
        shop.sign()


def test_a_readable_key_proves_no_person_where_selfdrive_drives(
    tmp_path: Path, database_url: str, engine: Engine
) -> None:
    shop = SignedProduct(tmp_path, database_url, engine, DRIVEN)
    shop.propose()
    with pytest.raises(Refused, match="proves no person"):
        shop.sign()
    toml = shop.product.path / "selfdrive.toml"
    toml.write_text(f'{DRIVEN}[rollout]\nplan = "demo"\n')
    assert shop.sign().digests["custody"] == "file"
    shop.workshop.close()


def test_a_key_in_an_agent_proves_no_person_and_one_behind_a_passphrase_does(
    tmp_path: Path, database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    shop = SignedProduct(tmp_path, database_url, engine, DRIVEN)
    shop.propose()
    facts = facts_of(found.CHANGE, shop.desk)
    with agent_of(tmp_path, shop.ada) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        with pytest.raises(Refused, match="any process of the signing account may use"):
            shop.sign()
        lock(shop.ada)  # the agent still signs for it, unasked
        with pytest.raises(Refused, match="proves no person"):
            shop.sign()
    monkeypatch.delenv("SSH_AUTH_SOCK")
    signer = choose_signer([shop.ada], facts.signers)
    assert signer.custody is Custody.LOCKED
    require_person(signer.custody, signer.fingerprint, shop.desk.settings)
    shop.workshop.close()


# What somebody does to Dagster, or to the table of decisions


class Board:
    """Dagster's instance with the records of the change that it tells of."""

    def __init__(self, instance: dg.DagsterInstance, shop: SignedProduct) -> None:
        self.instance, self.shop = instance, shop
        instance.add_dynamic_partitions("change", [found.CHANGE])
        for asset, kind in (("rollout/proposal", Proposal), ("validation/report", Proof)):
            self._materialize(asset, kind)

    def _materialize(self, asset: str, kind: type) -> None:
        shop = self.shop
        record = shop.evidence.get(shop.ledger_digest(asset), kind)

        @dg.asset(key=dg.AssetKey(asset.split("/")), partitions_def=CHANGE)
        def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            sha256 = shop.evidence.put(record)
            body = {"asset": asset, "sha256": sha256, "inputs": []}
            entry = Entry(at=datetime.now(UTC), actor="selfdrive", kind="evidence.made",
                          change_id=found.CHANGE, body=body, run_id=context.run.run_id)  # fmt: skip
            shop.ledger.append(entry)
            return dg.MaterializeResult(metadata={"sha256": sha256})

        assert dg.materialize([made], instance=self.instance, partition_key=found.CHANGE).success

    def run(self, tags: dict[str, str] | None = None) -> bool:
        """Run the asset, as a sensor or a click does; say whether it succeeded."""
        held = {"workshop": dg.ResourceDefinition.hardcoded_resource(self.shop.workshop)}
        asked = {"instance": self.instance, "partition_key": found.CHANGE, "resources": held}
        return dg.materialize([approval], raise_on_error=False, tags=tags, **asked).success


@pytest.fixture
def board(shop: SignedProduct) -> Iterator[Board]:
    shop.propose()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Board(instance, shop)


@pytest.fixture
def served(shop: SignedProduct) -> Iterator[Board]:
    """A board on an instance that the web server can open; runs start at once."""
    shop.propose()
    at_once = {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}
    with dg.instance_for_test(overrides={"run_coordinator": at_once}) as instance:
        yield Board(instance, shop)


def test_a_signed_decision_is_carried_out_by_its_run(board: Board) -> None:
    shop = board.shop
    decision = shop.sign()
    assert [one.decision_id for one in to_approve(shop.workshop, datetime.now(UTC))] == [
        decision.decision_id
    ]
    assert look_around(shop.workshop, "run-8")["decisions"] == 0, "it is left to its own job"
    assert board.run()
    assert state(shop) is State.APPROVED
    [row] = shop.ledger.find("change.approve", found.CHANGE)
    assert (row.entry.actor, row.entry.signature) == (ADA, decision.signature)
    made = pin(board.instance, shop.ledger, approval.key, found.CHANGE)
    kept = shop.evidence.get(made.sha256, Approval)
    assert kept.fingerprint == decision.digests["fingerprint"]
    assert kept.statement.custody is Custody.FILE
    assert shop.approvals.holding(found.CHANGE, datetime.now(UTC)) == kept.statement
    assert to_approve(shop.workshop, datetime.now(UTC)) == ()


def test_a_run_without_a_signature_moves_nothing(board: Board) -> None:
    """What a click on Materialize does."""
    assert not board.run()
    refuses(board)


REPORT = """
mutation {{ reportRunlessAssetEvents(eventParams: {{
    eventType: ASSET_MATERIALIZATION,
    assetKey: {{path: ["rollout", "approval"]}},
    partitionKeys: ["{change}"],
}}) {{ __typename }} }}
"""


def by_mutation(client: TestClient, _body: dict[str, Any]) -> Any:
    return client.post("/graphql", json={"query": REPORT.format(change=found.CHANGE)})


def by_address(client: TestClient, _body: dict[str, Any]) -> Any:
    """As an image on a web page could do it."""
    return client.get("/graphql", params={"query": REPORT.format(change=found.CHANGE)})


def by_report(client: TestClient, body: dict[str, Any]) -> Any:
    return client.post("/report_asset_materialization/rollout/approval", json=body)


def test_what_the_web_server_takes_for_an_approval_is_none(served: Board) -> None:
    """Dagster stores the event, even with a digest, an approver and tags; nothing moves."""
    shop = served.shop
    body = {
        "partition": found.CHANGE,
        "metadata": {"sha256": shop.ledger_digest("validation/report"), "approver": ADA},
        "data_version": "approved",
    }
    with WorkspaceProcessContext(
        served.instance, EmptyWorkspaceTarget(), version="", read_only=False
    ) as workspace:
        client = TestClient(DagsterWebserver(workspace).create_asgi_app())
        answers = [deed(client, body) for deed in (by_mutation, by_address, by_report)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    events = dg.AssetRecordsFilter(asset_key=approval.key, asset_partitions=[found.CHANGE])
    assert len(served.instance.fetch_materializations(events, limit=9).records) == len(answers)
    refuses(served)


def test_a_forged_tag_approves_nothing(board: Board) -> None:
    tags = {"selfdrive/approved": "yes", "selfdrive/in.rollout.proposal": "0" * 32}
    assert not board.run(tags)
    board.instance.report_runless_asset_event(
        dg.AssetMaterialization(approval.key, partition=found.CHANGE, tags=tags)
    )
    refuses(board)


LAUNCH = """
mutation($where: JobOrPipelineSelector!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {selector: $where, executionMetadata: {tags: $tags}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""


@pytest.mark.slow
def test_a_raw_mutation_that_launches_the_job_approves_nothing(
    served: Board, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = served.shop
    monkeypatch.setenv("SELFDRIVE_HOME", str(shop.home))
    monkeypatch.setenv("SELFDRIVE_PRODUCT", str(shop.product.path))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    app = PythonFileTarget("assets/definitions.py", None, str(ROOT), "app")
    where = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "app",
        "jobName": "approve",
    }
    tags = [{"key": "dagster/partition", "value": found.CHANGE}]
    with WorkspaceProcessContext(served.instance, app, version="", read_only=False) as workspace:
        client = TestClient(DagsterWebserver(workspace).create_asgi_app())
        body = {"query": LAUNCH, "variables": {"where": where, "tags": tags}}
        launched = client.post("/graphql", json=body).json()["data"]["launchRun"]
        run_id = launched["run"]["runId"]
        deadline = time.monotonic() + 90
        while not (run := served.instance.get_run_by_id(run_id)).is_finished:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert run.status is dg.DagsterRunStatus.FAILURE
    told = [entry.dagster_event for entry in served.instance.all_logs(run_id)]
    faults = [e.event_specific_data.error.to_string() for e in told if e and e.is_step_failure]
    assert "a run alone approves nothing" in faults[0]
    refuses(served)


def refuses(board: Board) -> None:
    """Nothing moved, nothing holds, and looking around finds nothing to carry out."""
    shop = board.shop
    assert look_around(shop.workshop, "run-8")["decisions"] == 0
    assert state(shop) is State.AWAITING_APPROVAL
    with pytest.raises(Refused, match="Nobody approved"):
        shop.approvals.holding(found.CHANGE, datetime.now(UTC))


def forge(shop: SignedProduct, real: Decision) -> dict[str, Decision]:
    """Return decisions as whoever writes to the table might forge them."""
    statement = shop.evidence.get(real.digests["statement"], Statement)
    own = replace(statement, approver=EVE)
    return {
        "no signature": replace(real, signature=""),
        "no statement": replace(real, digests={}),
        "no digest": replace(real, digests={"statement": "../../etc/passwd"}),
        "another person's": replace(real, digests={"statement": shop.evidence.put(own)}, actor=EVE),
    }


def test_a_forged_decision_is_none(shop: SignedProduct) -> None:
    shop.propose()
    for what, decision in forge(shop, shop.sign()).items():
        with pytest.raises((Refused, BadInput)):
            shop.approvals.examine(decision, datetime.now(UTC))
            pytest.fail(what)


def test_a_forged_decision_is_set_aside_with_its_reason(board: Board) -> None:
    shop = board.shop
    shop.decisions.record(
        found.CHANGE,
        "approve",
        actor=ADA,
        reason="inserted by hand",
        now=datetime.now(UTC),
        digests={"statement": shop.evidence.put(shop.statement())},
        signature="none",
    )
    assert not board.run()
    assert state(shop) is State.AWAITING_APPROVAL
    [row] = shop.ledger.find("decision.set_aside", found.CHANGE)
    assert f"No signature of {ADA}" in row.entry.body["because"]
    assert shop.decisions.waiting() == ()


def test_an_approval_that_comes_too_late_is_set_aside(shop: SignedProduct) -> None:
    shop.propose()
    shop.sign()
    shop.move(Event.REJECT, Actor.HUMAN)
    assert look_around(shop.workshop, "run-8")["decisions"] == 1
    assert shop.decisions.waiting() == ()
    [row] = shop.ledger.find("decision.set_aside", found.CHANGE)
    assert "does not wait for approve" in row.entry.body["because"]
