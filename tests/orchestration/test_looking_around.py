"""What comes back from outside: merges before deadlines, and each change for itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fakes import made_findings as found
from fakes.made_repository import MadeRepository
from msgspec.structs import replace
from sqlalchemy import Engine

from assets.audit import outcome
from selfdrive_dagster.adapters.changes import Authority, Changes
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.audit.outcome import Outcome, OutcomeKind, Sessions
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.model import Candidate, Claim, digest, short_id
from selfdrive_dagster.orchestration.instance import note_boot
from selfdrive_dagster.orchestration.observing import is_soaked, weigh
from selfdrive_dagster.orchestration.pins import pin
from selfdrive_dagster.orchestration.proposing import (
    ROUND_SECONDS,
    Faults,
    look_around,
    proposals,
    put_forward,
    waits,
)
from selfdrive_dagster.orchestration.stages import CHANGE, note
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.rollout import Findings, Proposal, branch_name
from selfdrive_dagster.rollout.canary import DEFAULT_PLAN
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State
from selfdrive_dagster.telemetry.rows import DeploymentRow

MODELS = load_models(Path(__file__).parents[2] / "sql")
RUN = "run-9"
PROPOSAL = dg.AssetKey(["rollout", "proposal"])
TO_PROPOSED = (
    (Event.START, Actor.LOOP),
    (Event.PROVEN, Actor.VALIDATOR),
    (Event.PROPOSE, Actor.LOOP),
)
ONE, OTHER = found.CHANGE, short_id("chg", "other", 1)


class Yard:
    """A product in git, a home and a database: what a look around needs."""

    def __init__(self, folder: Path, url: str, engine: Engine) -> None:
        self.product = MadeRepository(folder / "product")
        self.product.write("shop/shipping.py", found.SOURCE)
        self.product.write("shop/other.py", "A = 1\n")
        self.product.write("selfdrive.toml", '[service]\nname = "shop"\nbranch = "main"\n')
        self.base = self.product.commit("Begin")
        self.home = folder / "home"
        (self.home / "dagster").mkdir(parents=True)
        self.workshop = Workshop(self.home, folder / "product", url, folder)
        self.changes, self.decisions = Changes(engine), Decisions(engine)

    def findings(self, change_id: str = ONE) -> Findings:
        """What was found on today's base; the other change patches another file."""
        made = found.certified()
        if change_id == OTHER:
            patch = render_diff("shop/other.py", "A = 1\n", "A = 2\n")
            best: Candidate = replace(found.candidate(), path="shop/other.py", patch=patch)
            rival = replace(made.search, plausible=(best,))
            made = replace(made, search=rival, proof=replace(made.proof, best=best))
            test = replace(found.reproducer(), path="tests/test_selfdrive_other.py")
            made = replace(made, reproduction=replace(made.reproduction, reproducer=test))
        reports = tuple(replace(report, base_revision=self.base) for report in made.proof.reports)
        return replace(
            made,
            change_id=change_id,
            diagnosis=replace(made.diagnosis, revision=self.base),
            proof=replace(made.proof, reports=reports),
        )

    def open(self, change_id: str, ago: timedelta, *events: tuple[Event, Actor]) -> None:
        """Open a change and let it go its way, some time ago."""
        then = datetime.now(UTC) - ago
        loop = Authority(who="selfdrive", role=Actor.LOOP, run_id="run-1")
        issue = short_id("iss", change_id)
        self.changes.open(
            change_id, issue, service="shop", base_revision=self.base, by=loop, now=then
        )
        for event, role in events:
            by = Authority(who="selfdrive", role=role, run_id="run-1")
            self.changes.move(change_id, event, by=by, now=then, facts=frozenset(Fact))

    def propose(self, change_id: str = ONE, ago: timedelta = timedelta()) -> Proposal:
        """Put a change forward and note the proposal, some time ago."""
        self.open(change_id, ago, *TO_PROPOSED)
        put = put_forward(self.workshop, self.findings(change_id))
        note(PROPOSAL, self.workshop, put, (), run_id="run-1", change_id=change_id)
        return put

    def merge(self, change_id: str = ONE) -> None:
        self.product.git("merge", "-q", "--no-ff", "-m", "Merge", branch_name(change_id))

    def forget(self, proposal: Proposal) -> None:
        """Lose the record of a proposal."""
        self.workshop.evidence.path(digest(proposal)).unlink()

    def look(self) -> dict[str, Any]:
        return look_around(self.workshop, RUN)

    def state(self, change_id: str = ONE) -> State:
        change = self.changes.get(change_id)
        assert change is not None
        return change.state


@pytest.fixture
def yard(tmp_path: Path, database_url: str, engine: Engine) -> Iterator[Yard]:
    made = Yard(tmp_path, database_url, engine)
    yield made
    made.workshop.close()


LONG, SHORT = timedelta(days=15), timedelta(days=1)


def test_nothing_waits_and_nothing_is_done(yard: Yard) -> None:
    assert waits(yard.workshop, datetime.now(UTC)) is None
    nothing = {"decisions": 0, "overdue": [], "seen": [], "released": [], "faults": []}
    assert yard.look() == nothing


def test_a_merge_is_noted_even_when_the_loop_slept_past_the_deadline(yard: Yard) -> None:
    yard.propose(ago=LONG)
    yard.merge()
    told = yard.look()
    assert yard.state() is State.MERGED_OUTSIDE
    assert (told["overdue"], told["faults"]) == ([], [])


def test_what_nobody_merged_in_time_expires(yard: Yard) -> None:
    yard.propose(ago=LONG)
    yard.propose(OTHER, ago=SHORT)
    assert yard.look()["overdue"] == [ONE]
    assert (yard.state(), yard.state(OTHER)) == (State.EXPIRED, State.AWAITING_APPROVAL)


def test_a_remote_that_is_away_stops_no_deadline_but_those_of_proposals(yard: Yard) -> None:
    """Whether a proposal was merged is unknown then, and unknown is not "not merged"."""
    yard.propose(ago=LONG)
    yard.open(OTHER, LONG)
    yard.product.git("remote", "add", "origin", str(yard.home / "nowhere.git"))
    told = yard.look()
    assert (yard.state(), yard.state(OTHER)) == (State.AWAITING_APPROVAL, State.EXPIRED)
    assert told["overdue"] == [OTHER]
    assert "could not be read" in told["faults"][0]
    yard.product.git("remote", "remove", "origin")
    yard.merge()
    yard.look()
    assert yard.state() is State.MERGED_OUTSIDE


def test_a_lost_proposal_stops_no_other(yard: Yard) -> None:
    lost = yard.propose()
    yard.propose(OTHER)
    yard.merge(OTHER)
    yard.forget(lost)
    told = yard.look()
    assert yard.state(OTHER) is State.MERGED_OUTSIDE
    assert told["faults"][0].startswith(f"{ONE}: NOT RECORDED")


def test_the_proposals_of_changes_that_ended_are_not_read(yard: Yard) -> None:
    ended = yard.propose(ago=LONG)
    yard.look()
    yard.forget(ended)
    yard.propose(OTHER)
    faults = Faults()
    assert set(proposals(yard.workshop, faults)) == {OTHER}
    assert faults.told == []


def test_a_decision_that_nobody_can_carry_out_stops_no_other(yard: Yard) -> None:
    yard.propose()
    yard.propose(OTHER)
    now = datetime.now(UTC)
    yard.decisions.record(ONE, "applaud", actor="ada", reason="!", now=now)
    yard.decisions.record(OTHER, "reject", actor="ada", reason="no", now=now)
    told = yard.look()
    assert yard.state(OTHER) is State.REJECTED
    assert told["decisions"] == 1
    assert "applaud" in told["faults"][0]


def test_work_of_the_loop_does_not_expire_while_the_loop_is_off(yard: Yard) -> None:
    yard.open(ONE, LONG, TO_PROPOSED[0])
    now = datetime.now(UTC)
    note_boot(yard.home, now - timedelta(hours=1))
    assert waits(yard.workshop, now) is None
    assert yard.look()["overdue"] == []
    note_boot(yard.home, now - timedelta(hours=7))
    assert waits(yard.workshop, now) is not None
    assert yard.look()["overdue"] == [ONE]


def test_git_is_asked_each_round_and_what_is_new_is_looked_at_at_once(yard: Yard) -> None:
    yard.propose()
    start = datetime.fromtimestamp(ROUND_SECONDS * 6_000_000, UTC)
    soon, later = (start + timedelta(seconds=n) for n in (ROUND_SECONDS - 1, ROUND_SECONDS))
    quiet = waits(yard.workshop, start)
    assert quiet == waits(yard.workshop, soon)
    assert quiet != waits(yard.workshop, later)
    yard.decisions.record(ONE, "reject", actor="ada", reason="no", now=start)
    decided = waits(yard.workshop, soon)
    assert decided not in (None, quiet)
    assert decided != waits(yard.workshop, later), "one that fails comes round again"


def test_what_was_proven_on_another_base_is_not_put_forward(yard: Yard) -> None:
    made = yard.findings()
    reports = tuple(replace(report, base_revision="7" * 40) for report in made.proof.reports)
    with pytest.raises(Refused, match="proven on 777777777777"):
        put_forward(yard.workshop, replace(made, proof=replace(made.proof, reports=reports)))
    assert branch_name(ONE) not in yard.product.git("branch", "--list", "--all")


def at_work(yard: Yard, version: str, ago: timedelta = timedelta(hours=1)) -> None:
    """Let telemetry tell that a version of the shop is at work."""
    then = datetime.now(UTC) - ago
    row = DeploymentRow(event_id=digest(version), source="otlp", timestamp=then, received_at=then,
                        service_name="shop", service_version=version)  # fmt: skip
    yard.workshop.warehouse.append("deployments", [row])
    list(refresh(yard.workshop.warehouse, MODELS, Grouping()))


def test_the_release_of_a_merged_change_is_noticed(yard: Yard) -> None:
    yard.propose()
    yard.merge()
    yard.look()
    at_work(yard, yard.base)
    assert yard.look()["released"] == []
    assert yard.state() is State.MERGED_OUTSIDE
    merged = yard.product.git("rev-parse", "HEAD")
    at_work(yard, merged)
    assert yard.look()["released"] == [f"{ONE}: {merged}"]
    assert yard.state() is State.OBSERVING
    assert yard.look()["released"] == []


def test_a_merged_change_is_looked_at_until_it_is_released(yard: Yard) -> None:
    yard.propose()
    yard.merge()
    yard.look()
    assert waits(yard.workshop, datetime.now(UTC)) is not None


def test_an_outcome_weighs_sessions_before_and_on_the_release(yard: Yard) -> None:
    yard.propose()
    yard.merge()
    yard.look()
    merged = yard.product.git("rev-parse", "HEAD")
    at_work(yard, yard.base, timedelta(days=3))
    at_work(yard, merged, timedelta(days=1))
    yard.look()
    change = yard.changes.get(ONE)
    now = datetime.now(UTC)
    assert change is not None
    assert not is_soaked(change, DEFAULT_PLAN, now)
    assert is_soaked(change, DEFAULT_PLAN, now + timedelta(minutes=DEFAULT_PLAN.soak_minutes))
    found = weigh(yard.workshop, change, Claim.REPAIR, now)
    assert found.kind is OutcomeKind.INCONCLUSIVE  # nobody was there, before or after
    assert (found.before, found.after) == (Sessions(seen=0, affected=0),) * 2


def test_an_outcome_is_recorded_and_ends_the_change(yard: Yard) -> None:
    proposal = yard.propose()
    yard.merge()
    yard.look()
    at_work(yard, yard.product.git("rev-parse", "HEAD"))
    yard.look()

    @dg.asset(key=PROPOSAL, partitions_def=CHANGE)
    def put(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        run_id = context.run.run_id
        sha256 = note(PROPOSAL, yard.workshop, proposal, (), run_id=run_id, change_id=ONE)
        return dg.MaterializeResult(metadata={"sha256": sha256})

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("change", [ONE])
        held = {"workshop": dg.ResourceDefinition.hardcoded_resource(yard.workshop)}
        asked = {"instance": instance, "partition_key": ONE, "resources": held}
        assert dg.materialize([put], **asked).success
        assert dg.materialize([outcome], **asked).success
        made = pin(instance, yard.workshop.ledger, outcome.key, ONE)
    assert yard.state() is State.LEARNED
    found = yard.workshop.evidence.get(made.sha256, Outcome)
    assert found.kind is OutcomeKind.INCONCLUSIVE
    assert "not known" in found.reason
