"""The three sensors: what each of them asks for, and what it leaves alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fakes import boards
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Authority, Changes
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.audit.outcome import Outcome, OutcomeKind, Sessions
from selfdrive_dagster.issues.opening import ATTEMPTS, change_id_of
from selfdrive_dagster.orchestration import sensors
from selfdrive_dagster.orchestration.instance import INTERRUPTED_TAG
from selfdrive_dagster.orchestration.proposing import ROUND_SECONDS
from selfdrive_dagster.orchestration.stages import CHANGE, note
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout.canary import DEFAULT_PLAN
from selfdrive_dagster.rollout.lifecycle import MAKING, Actor, Event, Fact

ROOM = 2
NAMES = ("price", "tax", "quote", "ship")
FAILED, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@dg.asset(partitions_def=CHANGE)
def diagnosis() -> None: ...


@dg.job(name="propose")
def hanging() -> None: ...


propose = dg.define_asset_job("propose", selection=[diagnosis])


class Floor:
    """A workshop, an instance and a clock, and what the sensor of changes asks for."""

    def __init__(self, workshop: Workshop, instance: dg.DagsterInstance, engine: Engine) -> None:
        self.workshop, self.instance = workshop, instance
        self.changes = Changes(engine)
        self.now = datetime.now(UTC)
        self.sensor = sensors.changes_sensor(propose, 10, clock=lambda: self.now)

    def tick(self, sensor: dg.SensorDefinition) -> Any:
        """Evaluate a sensor once and return what it asks for."""
        context = dg.build_sensor_context(instance=self.instance)
        told: Any = sensor(context, workshop=self.workshop)
        return told if isinstance(told, dg.SensorResult | dg.SkipReason) else next(told)

    def asked(self) -> list[str]:
        """Tick and return the run keys; partitions are added as they are asked for."""
        told = self.tick(self.sensor)
        if isinstance(told, dg.SkipReason):
            return []
        for request in told.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions("change", list(request.partition_keys))
        return [str(request.run_key) for request in told.run_requests or ()]

    def run(self, change_id: str, status: dg.DagsterRunStatus, **tags: str) -> None:
        """Let a run of a change have come to an end, or to where it is."""
        tags = {sensors.CHANGE_TAG: change_id, **tags}
        self.instance.create_run_for_job(hanging, tags=tags, status=status)

    def open(self, change_id: str, *events: tuple[Event, Actor], name: str = "price") -> None:
        """Open a change and let it go its way."""
        issue_id = boards.board_of(str, name).issues[0].issue_id
        loop = Authority(who="selfdrive", role=Actor.LOOP, run_id="run-1")
        self.changes.open(
            change_id, issue_id, service="shop", base_revision="a", by=loop, now=self.now
        )
        for event, role in events:
            by = Authority(who="selfdrive", role=role, run_id="run-1")
            change = self.changes.get(change_id)
            assert change is not None and change.deadline is not None
            now = change.deadline if event is Event.DEADLINE else change.since
            self.changes.move(change_id, event, by=by, now=now, facts=frozenset(Fact))


@pytest.fixture
def floor(database_url: str, engine: Engine, tmp_path: Path) -> Iterator[Floor]:
    repo = tmp_path / "product"
    repo.mkdir()
    limit = f'[autonomy]\nlevel = "L2"\nmax_open_changes = {ROOM}\n'
    (repo / "selfdrive.toml").write_text(limit)
    workshop = Workshop(tmp_path / "home", repo, database_url, tmp_path)
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Floor(workshop, instance, engine)
    workshop.close()


def first(name: str, attempt: int = 1) -> str:
    """The id of the n-th change of a function's issue."""
    return change_id_of(boards.board_of(str, name).issues[0].issue_id, attempt)


def key(name: str, attempt: int = 1, run: int = 1) -> str:
    return f"{first(name, attempt)}:propose:{run}"


PROPOSED = (
    (Event.START, Actor.LOOP),
    (Event.PROVEN, Actor.VALIDATOR),
    (Event.PROPOSE, Actor.LOOP),
)
MERGED = (*PROPOSED, (Event.MERGED, Actor.GUARD))
TAKEN_BACK = (
    (Event.APPROVE, Actor.HUMAN),
    (Event.BUILT, Actor.CONTROLLER),
    (Event.LEASE_LOST, Actor.GUARD),
    (Event.RESTORED, Actor.CONTROLLER),
    (Event.REVERTED, Actor.CONTROLLER),
)
REFUSED = (*PROPOSED, (Event.REJECT, Actor.HUMAN))


def test_without_a_ranking_nothing_is_opened(floor: Floor) -> None:
    assert floor.asked() == []


def test_the_worst_issues_are_opened_within_the_limit(floor: Floor) -> None:
    boards.materialize(floor.instance, floor.workshop, *NAMES)
    assert floor.asked() == [key("price"), key("tax")]
    assert set(floor.instance.get_dynamic_partitions("change")) == {first("price"), first("tax")}


@pytest.mark.parametrize("life", [PROPOSED, MERGED, REFUSED], ids=["proposed", "merged", "refused"])
def test_a_change_in_the_hands_of_people_holds_no_slot(
    life: tuple[tuple[Event, Actor], ...], floor: Floor
) -> None:
    boards.materialize(floor.instance, floor.workshop, *NAMES)
    for name in NAMES[:ROOM]:
        floor.instance.add_dynamic_partitions("change", [first(name)])
        floor.open(first(name), *life, name=name)
    assert floor.asked() == [key("quote"), key("ship")]


@pytest.mark.parametrize("moves", range(len(MAKING)))
def test_a_change_in_the_making_holds_its_slot(moves: int, floor: Floor) -> None:
    boards.materialize(floor.instance, floor.workshop, *NAMES)
    floor.instance.add_dynamic_partitions("change", [first("price")])
    floor.open(first("price"), *PROPOSED[:moves])
    floor.run(first("price"), dg.DagsterRunStatus.STARTED)
    assert floor.asked() == [key("tax")]


@pytest.mark.parametrize("status", [FAILED, CANCELED])
@pytest.mark.parametrize("opened", [True, False])
def test_what_failed_or_was_canceled_is_tried_again_after_pauses(
    opened: bool, status: dg.DagsterRunStatus, floor: Floor
) -> None:
    """A person's cancel ends a try like a failure does: it is not started again without end."""
    floor.instance.add_dynamic_partitions("change", [first("price")])
    if opened:
        floor.open(first("price"))
    for number, pause in enumerate((1, 5, 15), start=1):
        floor.run(first("price"), status)
        floor.now = datetime.now(UTC) + timedelta(minutes=pause, seconds=-5)
        assert floor.asked() == []
        floor.now += timedelta(seconds=6)
        assert floor.asked() == [key("price", run=number + 1)]
    floor.run(first("price"), status)
    floor.now += timedelta(hours=5)
    assert floor.asked() == ([] if opened else [key("price", run=5)])


@pytest.mark.parametrize("status", [FAILED, CANCELED])
def test_what_our_own_stop_cut_off_is_taken_up_at_once(
    status: dg.DagsterRunStatus, floor: Floor
) -> None:
    floor.instance.add_dynamic_partitions("change", [first("price")])
    floor.open(first("price"), PROPOSED[0])
    for number in range(1, 7):
        floor.run(first("price"), status, **{INTERRUPTED_TAG: "true"})
        assert floor.asked() == [key("price", run=number + 1)]


def test_a_run_that_was_never_launched_is_asked_for_again(floor: Floor) -> None:
    """The daemon may die between adding the partition and launching its run."""
    floor.instance.add_dynamic_partitions("change", [first("price")])
    assert floor.asked() == [key("price")]


@pytest.mark.parametrize("anew", [Event.PATCH_EDITED, Event.BASE_MOVED])
def test_what_was_amended_or_moved_is_done_anew(anew: Event, floor: Floor) -> None:
    """However often it failed before: that says nothing of the patch or the base of now."""
    floor.instance.add_dynamic_partitions("change", [first("price")])
    for _ in range(5):
        floor.run(first("price"), FAILED)
    floor.open(first("price"), *PROPOSED)
    assert floor.asked() == []
    by = Authority(who="selfdrive", role=Actor.GUARD, run_id="run-1")
    floor.now = datetime.now(UTC) + timedelta(seconds=1)
    floor.changes.move(first("price"), anew, by=by, now=floor.now)
    assert floor.asked() == [key("price", run=6)]


def test_a_change_that_could_not_be_opened_gives_its_slot_back(floor: Floor) -> None:
    boards.materialize(floor.instance, floor.workshop, *NAMES)
    for name in NAMES[:ROOM]:
        floor.instance.add_dynamic_partitions("change", [first(name)])
        floor.run(first(name), FAILED)
    assert floor.asked() == []
    floor.now = datetime.now(UTC) + timedelta(days=1, minutes=1)
    assert floor.asked() == [key("price", attempt=2), key("tax", attempt=2)]


LOST = {
    "draft": ((Event.DEADLINE, Actor.GUARD),),
    "validating": (PROPOSED[0], (Event.DEADLINE, Actor.GUARD)),
    "validated": (*PROPOSED[:2], (Event.DEADLINE, Actor.GUARD)),
}


@pytest.mark.parametrize("name", LOST)
def test_what_expired_in_our_own_hands_is_begun_anew(name: str, floor: Floor) -> None:
    boards.materialize(floor.instance, floor.workshop, "price")
    for attempt in range(1, ATTEMPTS + 1):
        floor.instance.add_dynamic_partitions("change", [first("price", attempt)])
        floor.open(first("price", attempt), *LOST[name])
        anew = [] if attempt == ATTEMPTS else [key("price", attempt + 1)]
        assert floor.asked() == anew


ANSWERED = {
    "refused": REFUSED,
    "unanswered": (*PROPOSED, (Event.DEADLINE, Actor.GUARD)),
    "learned": (*MERGED, (Event.DEADLINE, Actor.GUARD)),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_what_people_have_seen_is_never_tried_again_by_itself(name: str, floor: Floor) -> None:
    boards.materialize(floor.instance, floor.workshop, "price")
    floor.instance.add_dynamic_partitions("change", [first("price")])
    floor.open(first("price"), *ANSWERED[name])
    assert floor.changes.get(first("price")).state not in MAKING
    floor.now += timedelta(days=60)
    assert floor.asked() == []


def test_a_board_that_is_lost_stops_no_change_on_its_way(floor: Floor) -> None:
    boards.materialize(floor.instance, floor.workshop, "price", "tax")
    floor.instance.add_dynamic_partitions("change", [first("price")])
    floor.open(first("price"))
    floor.run(first("price"), FAILED, **{INTERRUPTED_TAG: "true"})
    for file in (floor.workshop.home / "evidence").rglob("*.json"):
        file.unlink()
    assert floor.asked() == [key("price", run=2)]


# Segments, and what waits


def test_a_batch_is_asked_for_when_segments_wait_and_none_runs(floor: Floor) -> None:
    sensor = sensors.segments_sensor(propose, 15)
    assert "No closed segment" in floor.tick(sensor).skip_message
    folder = floor.workshop.segments[0]
    folder.mkdir(parents=True)
    (folder / "000000000001.seg").write_bytes(b"")
    assert isinstance(floor.tick(sensor), dg.RunRequest)
    floor.run("none", dg.DagsterRunStatus.STARTED)
    assert "running" in floor.tick(sensor).skip_message


def test_what_waits_is_asked_for_by_its_name(floor: Floor) -> None:
    waiting: list[str | None] = [None]
    sensor = sensors.waiting_sensor("look", propose, 60, "looks", lambda *_: waiting[0])
    assert "Nothing waits" in floor.tick(sensor).skip_message
    waiting[0] = "look:7"
    assert floor.tick(sensor).run_key == "look:7"
    floor.run("none", dg.DagsterRunStatus.STARTED)
    assert "running" in floor.tick(sensor).skip_message


RELEASED = (*MERGED, (Event.RELEASED, Actor.ANALYST))


def test_an_outcome_is_asked_for_once_the_soak_is_over(floor: Floor) -> None:
    floor.open(first("price"), *RELEASED)
    floor.open(first("tax"), *MERGED, name="tax")
    sensor = sensors.soaked_sensor(propose, 60, clock=lambda: floor.now)
    assert isinstance(floor.tick(sensor), dg.SkipReason)
    floor.now += timedelta(minutes=DEFAULT_PLAN.soak_minutes)
    request = floor.tick(sensor)
    assert request.partition_key == first("price")
    assert floor.tick(sensor).run_key == request.run_key, "one run in an hour"
    floor.now += timedelta(hours=1)
    assert floor.tick(sensor).run_key != request.run_key


def test_an_approval_is_asked_for_while_it_waits_and_can_be_carried_out(floor: Floor) -> None:
    floor.open(first("price"), *PROPOSED)
    floor.open(first("tax"), (Event.START, Actor.LOOP), name="tax")
    sensor = sensors.approved_sensor(propose, 10, clock=lambda: floor.now)
    assert isinstance(floor.tick(sensor), dg.SkipReason)
    decisions = Decisions(floor.workshop.engine)
    for change_id in (first("price"), first("tax")):
        decisions.record(change_id, "approve", actor="ada", reason="read it", now=floor.now)
    decisions.record(first("price"), "reject", actor="eve", reason="no", now=floor.now)
    context = dg.build_sensor_context(instance=floor.instance)
    asked = list(sensor(context, workshop=floor.workshop))
    assert [request.partition_key for request in asked] == [first("price")]
    floor.now += timedelta(seconds=ROUND_SECONDS)
    assert floor.tick(sensor).run_key != asked[0].run_key, "one that fails comes round again"
    floor.now += timedelta(days=14)
    assert isinstance(floor.tick(sensor), dg.SkipReason), "its deadline passed"


def test_an_approval_that_is_being_carried_out_is_not_asked_for_again(floor: Floor) -> None:
    floor.open(first("price"), *PROPOSED)
    Decisions(floor.workshop.engine).record(
        first("price"), "approve", actor="ada", reason="read it", now=floor.now
    )
    sensor = sensors.approved_sensor(hanging, 10, clock=lambda: floor.now)
    floor.run(first("tax"), dg.DagsterRunStatus.STARTED)
    assert floor.tick(sensor).partition_key == first("price")
    floor.run(first("price"), dg.DagsterRunStatus.STARTED)
    floor.now += timedelta(seconds=ROUND_SECONDS)
    assert isinstance(floor.tick(sensor), dg.SkipReason)


def test_an_issue_whose_change_was_taken_back_is_tried_again(floor: Floor) -> None:
    boards.materialize(floor.instance, floor.workshop, "price")
    floor.instance.add_dynamic_partitions("change", [first("price")])
    floor.open(first("price"), *PROPOSED, *TAKEN_BACK)
    assert floor.asked() == [key("price", attempt=2)]


@pytest.mark.parametrize("kind", OutcomeKind)
def test_only_an_issue_that_came_back_is_tried_again(floor: Floor, kind: OutcomeKind) -> None:
    boards.materialize(floor.instance, floor.workshop, "price")
    floor.instance.add_dynamic_partitions("change", [first("price")])
    floor.open(first("price"), *RELEASED, (Event.SOAKED, Actor.ANALYST))
    nobody = Sessions(seen=0, affected=0)
    found = Outcome(kind=kind, reason="", before=nobody, after=nobody, needed=None)
    asset = dg.AssetKey(["audit", "outcome"])
    note(asset, floor.workshop, found, (), run_id="run-1", change_id=first("price"))
    expected = [key("price", attempt=2)] if kind is OutcomeKind.REGRESSED else []
    assert floor.asked() == expected
