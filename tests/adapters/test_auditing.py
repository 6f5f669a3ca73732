"""`audit --verify` on a change that met users: clean, and whatever was touched is named."""

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
from fakes import made_findings as found
from fakes.databases import copied
from fakes.driven import DrivenProduct
from sqlalchemy import Engine, make_url, text

from selfdrive_dagster.adapters.auditing import case_of, disagreements
from selfdrive_dagster.adapters.changes import Authority, Changes
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres import connect
from selfdrive_dagster.audit import Head, answers, gaps
from selfdrive_dagster.orchestration.instance import opened, prepare_dagster_home
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact
from selfdrive_dagster.rollout.traffic import Cause, Returned

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


class Traces(NamedTuple):
    """What a rollout left: a database, a home, a repository. Each test may spoil its own."""

    url: str
    engine: Engine
    home: Path
    product: Path

    @property
    def rows(self) -> dict[str, int]:
        """The place of the newest row of each kind."""
        return {row.entry.kind: row.seq for row in Ledger(self.engine).entries(found.CHANGE)}

    def faults(self, anchor: Head | None = None) -> tuple[str, ...]:
        """Audit it as the command does."""
        change, evidence = Changes(self.engine).get(found.CHANGE), Evidence(self.home)
        case = case_of(change, Ledger(self.engine), evidence)
        repository = GitRepository(self.product)
        return (*gaps(case), *disagreements(case, self.engine, evidence, repository, anchor))

    def forge(self, *statements: str) -> None:
        """Do to the tables what their triggers forbid, as whoever owns the database could."""
        with self.engine.begin() as connection:
            for table in ("ledger", "effects", "decisions", "changes"):
                connection.execute(text(f"ALTER TABLE selfdrive.{table} DISABLE TRIGGER ALL"))
            for statement in statements:
                connection.execute(text(statement))

    def evidence_of(self, kind: str, name: str) -> Path:
        """The file of evidence that the newest row of a kind names."""
        row = Ledger(self.engine).entries(found.CHANGE)[0]
        for row in Ledger(self.engine).entries(found.CHANGE):
            if row.entry.kind == kind:
                named = row.entry.body.get(name) or row.entry.body["digests"][name]
        return Evidence(self.home).path(named)

    def dagster(self) -> dg.DagsterInstance:
        """Dagster's own storage of this home."""
        return opened(prepare_dagster_home(self.home, self.url))


@pytest.fixture(scope="module")
def original(
    database_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A change that did harm and came back, made once."""
    folder = tmp_path_factory.mktemp("driven")
    with copied(database_server, "postgres") as url:
        engine = connect(url)
        DrivenProduct(folder, url, engine).harmed()
        engine.dispose()
        yield str(make_url(url).database), folder


@pytest.fixture
def traces(original: tuple[str, Path], database_server: str, tmp_path: Path) -> Iterator[Traces]:
    name, folder = original
    home = tmp_path / "home"
    shutil.copytree(folder / "home", home)
    with copied(database_server, name) as url:
        engine = connect(url)
        yield Traces(url, engine, home, folder / "product")
        engine.dispose()


def test_a_rollout_that_came_back_is_clean(traces: Traces) -> None:
    assert traces.faults() == ()
    change, ledger = Changes(traces.engine).get(found.CHANGE), Ledger(traces.engine)
    case = case_of(change, ledger, Evidence(traces.home))
    told = {answer.question: answer for answer in answers(case)}
    assert "yes, rolled out by Selfdrive" in told["Did it reach users?"].says
    assert "10% (margin 10)" in told["What was fixed before users met it?"].says
    assert "(of 400 sessions before)" in told["What was fixed before users met it?"].says
    assert "120 of 1200 sessions" in told["Who met it, when, and at which share?"].says
    assert "harm at 10%" in told["What did the live evidence say?"].says
    assert len(told["What did the live evidence say?"].digests) == 2
    back = told["Was it taken back, and how fast?"].says
    assert "harm by selfdrive" in back
    assert "Traffic went back 0.4 s after that (harm)" in back
    assert "stable alone 1.0 s after that; it was never merged" in back
    assert told["Did it work?"].says == "no: it was taken back"


def test_a_rollout_that_was_promoted_is_clean(
    tmp_path: Path, database_url: str, engine: Engine
) -> None:
    world = DrivenProduct(tmp_path, database_url, engine)
    world.promoted()
    traces = Traces(database_url, engine, world.home, world.product.path)
    assert traces.faults() == ()
    case = case_of(world.changes.get(found.CHANGE), world.ledger, world.evidence)
    told = {answer.question: answer.says for answer in answers(case)}
    promoted = told["Was it promoted, and as what?"]
    assert f"moved to {world.commit[:12]}, the very commit that users met" in promoted
    assert told["Was it taken back, and how fast?"] == "no"


def test_who_intervened_is_told_with_what_stands_behind_the_name(
    tmp_path: Path, database_url: str, engine: Engine
) -> None:
    world = DrivenProduct(tmp_path, database_url, engine)
    world.begin()
    by = {role: Authority(who="ada", role=role, signature=world.signature) for role in Actor}
    for event, role, reason in (
        (Event.PAUSE, Actor.HUMAN, "the bank is closing"),
        (Event.RESUME, Actor.OPERATOR, "it is open again"),
        (Event.PAUSE, Actor.HUMAN, "it rains"),
        (Event.ADVANCE, Actor.OPERATOR, "nights are quiet"),
    ):
        world.changes.move(
            found.CHANGE, event, by=by[role], now=world.tick(), facts=frozenset(Fact),
            body={"reason": reason}, stages=1, epoch=world.epoch,
        )  # fmt: skip
    world.step(Event.ABORT, Actor.HUMAN, says="traffic went back to stable: command")
    case = case_of(world.changes.get(found.CHANGE), world.ledger, world.evidence)
    told = {answer.question: answer.says for answer in answers(case)}
    pause, resume, _, advance, abort = told["Who intervened on the way?"].split("; ")
    assert "pause by ada (as the system's account and git name them, unsigned) at" in pause
    assert "the bank is closing" in pause and "unsigned" in resume
    assert "advance_on" not in advance and "advance by ada (who signed it) at" in advance
    assert "somebody did without it, unsigned" in abort and "back to stable" in abort


def altered_evidence(traces: Traces) -> None:
    path = traces.evidence_of("change.harm", "observed")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"20", b"21", 1))


def lost_evidence(traces: Traces) -> None:
    traces.evidence_of("rollout.verdict", "observed").unlink()


def lost_statement(traces: Traces) -> None:
    traces.evidence_of("change.approve", "statement").unlink()


def deleted_row(traces: Traces) -> None:
    traces.forge(f"DELETE FROM selfdrive.ledger WHERE seq = {traces.rows['change.built']}")


def inserted_row(traces: Traces) -> None:
    seq = traces.rows["change.built"]
    columns = "at, actor, kind, change_id, issue_id, body, run_id, signature"
    traces.forge(
        "UPDATE selfdrive.ledger SET seq = seq + 1000, prev_hash = prev_hash || 'x' "
        f"WHERE seq > {seq}",
        f"INSERT INTO selfdrive.ledger (seq, {columns}, prev_hash, hash) SELECT seq + 1, "
        f"{columns}, hash, md5(hash) || md5(seq::text) FROM selfdrive.ledger WHERE seq = {seq}",
        "UPDATE selfdrive.ledger SET seq = seq - 999 WHERE seq > 1000",
    )


def reordered_rows(traces: Traces) -> None:
    one = traces.rows["change.harm"]
    traces.forge(
        f"UPDATE selfdrive.ledger SET seq = 9999 WHERE seq = {one}",
        f"UPDATE selfdrive.ledger SET seq = {one} WHERE seq = {one - 1}",
        f"UPDATE selfdrive.ledger SET seq = {one - 1} WHERE seq = 9999",
    )


def truncated_ledger(traces: Traces) -> None:
    """The last move is gone, and so is all that came after."""
    traces.forge(f"DELETE FROM selfdrive.ledger WHERE seq >= {traces.rows['change.restored']}")


def unsigned_approval(traces: Traces) -> None:
    seq = traces.rows["change.approve"]
    traces.forge(f"UPDATE selfdrive.ledger SET signature = 'forged' WHERE seq = {seq}")


def effect_without_a_row(traces: Traces) -> None:
    traces.forge("UPDATE selfdrive.effects SET ledger_seq = 1 WHERE kind = 'set_weight'")


def row_without_an_effect(traces: Traces) -> None:
    traces.forge("DELETE FROM selfdrive.effects WHERE kind = 'set_weight'")


def changed_state(traces: Traces) -> None:
    traces.forge("UPDATE selfdrive.changes SET state = 'rejected'")


def deleted_run(traces: Traces) -> None:
    with traces.dagster() as instance:
        instance.delete_run("run of validation/report")


def wiped_asset(traces: Traces) -> None:
    with traces.dagster() as instance:
        instance.wipe_assets([dg.AssetKey(["validation", "report"])])


def rewritten_windows(traces: Traces) -> None:
    path = traces.home / "rollouts" / found.CHANGE / "windows.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"errors":{"canary":10', b'"errors":{"canary":0'))


def other_thresholds(traces: Traces) -> None:
    path = traces.home / "rollouts" / found.CHANGE / "thresholds.json"
    path.write_bytes(path.read_bytes().replace(b"0.05", b"5.00"))


def untold_return(traces: Traces) -> None:
    files = FrontFiles(traces.home)
    [known] = files.journal()
    files.note(
        Returned(at=known.at + timedelta(minutes=1), cause=Cause.LEASE, reason="the lease ran out",
                 change_id=found.CHANGE, generation=9)
    )  # fmt: skip


TOUCHED = (
    (altered_evidence, "ALTERED"),
    (lost_evidence, "NOT RECORDED: there is no evidence"),
    (lost_statement, "change.approve: NOT RECORDED"),
    (deleted_row, "the ledger: row"),
    (inserted_row, "the ledger: "),
    (reordered_rows, "the ledger: row"),
    (truncated_ledger, "the ledger's last move leads to rolling_back, and the change is learned"),
    (unsigned_approval, "change.approve: No signature of ada@example.com"),
    (unsigned_approval, "change.built, acts under a signature that approved nothing"),
    (effect_without_a_row, "set_weight is closed, and the ledger has no row effect.set_weight"),
    (row_without_an_effect, "tells of an effect that was never intended"),
    (changed_state, "leads to learned, and the change is rejected"),
    (deleted_run, "Dagster knows no validation/report"),
    (deleted_run, "Dagster has no run run of validation/report"),
    (wiped_asset, "Dagster: validation/report was wiped"),
    (rewritten_windows, "windows.jsonl does not begin with the windows"),
    (other_thresholds, "thresholds.json is not what the ledger names"),
    (untold_return, "tells of a return to stable"),
)


@pytest.mark.slow
@pytest.mark.parametrize(("touch", "named"), TOUCHED)
def test_what_was_touched_is_named(
    traces: Traces, touch: Callable[[Traces], None], named: str
) -> None:
    touch(traces)
    faults = traces.faults()
    assert any(named in fault for fault in faults), faults


def test_rows_cut_off_at_the_end_are_seen_against_a_head(traces: Traces) -> None:
    """Rows that no other table names: only who noted the head elsewhere can tell."""
    head = Ledger(traces.engine).head()
    assert traces.faults(head) == ()
    traces.forge(f"DELETE FROM selfdrive.ledger WHERE seq = {head.seq}")
    assert any(f"the anchor knows {head.seq} rows" in one for one in traces.faults(head))
