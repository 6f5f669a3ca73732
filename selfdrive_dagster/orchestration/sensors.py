"""What moves things: new segments, triaged issues, unfinished changes, decisions.

A sensor looks and requests; it runs no model, no test and no git. A run key is
(change, job, attempt): Dagster never launches a key twice, so nothing is started doubly.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as Job,
)

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.ingest import waiting_segments
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.warehouse.pointers import is_undecided
from selfdrive_dagster.audit import Link
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.issues.opening import to_open
from selfdrive_dagster.orchestration.approving import to_approve
from selfdrive_dagster.orchestration.attempts import ended_badly
from selfdrive_dagster.orchestration.instance import INTERRUPTED_TAG, LANE_TAG, UNFINISHED
from selfdrive_dagster.orchestration.observing import is_soaked
from selfdrive_dagster.orchestration.opening import Past, is_due, is_given_up
from selfdrive_dagster.orchestration.pins import pin
from selfdrive_dagster.orchestration.proposing import ROUND_SECONDS
from selfdrive_dagster.orchestration.stages import CHANGE
from selfdrive_dagster.orchestration.tables import RANKING
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout.canary.plan import PLANS
from selfdrive_dagster.rollout.lifecycle import MAKING, Event, State

HOUR_SECONDS = 3600
CHANGE_TAG = "selfdrive/change"
AGAIN = "again"
"""The lane of what is made anew, beside the one of what is made for the first time."""

ANEW = tuple(f"change.{event.value}" for event in (Event.BASE_MOVED, Event.PATCH_EDITED))
"""After these moves all that was done before says nothing any more."""

Answer = Iterator[dg.RunRequest | dg.SkipReason | dg.SensorResult]
Held = dg.ResourceParam[Workshop]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def segments_sensor(job: Job, seconds: int) -> dg.SensorDefinition:
    """Start a batch when closed segments wait and no batch is in flight."""

    @dg.sensor(
        name="new_segments",
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Materializes the tables when a segment was closed or a verdict given.",
    )
    def sensor(context: dg.SensorEvaluationContext, workshop: Held) -> Answer:
        if not (waiting_segments(workshop.segments) or is_undecided(workshop.warehouse)):
            yield dg.SkipReason("No closed segment waits, and nobody merged or split an issue.")
        elif _in_flight(context.instance, job.name):
            yield dg.SkipReason("A batch is running.")
        else:
            yield dg.RunRequest()

    return sensor


def changes_sensor(job: Job, seconds: int, clock: Clock = utc_now) -> dg.SensorDefinition:
    """Open a change for each triaged issue, and try again what failed or was interrupted."""

    @dg.sensor(
        name="open_changes",
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Opens a change for each issue triaged autofix, worst first, and takes up "
        "interrupted ones.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, workshop: Held
    ) -> dg.SensorResult | dg.SkipReason:
        known = {change.change_id: change for change in workshop.changes.all()}
        making = _making(context.instance, workshop.ledger, known)
        now = clock()
        requests = [
            _request(change_id, job.name, past.runs + 1, is_approved=past.has_moved)
            for change_id, past in making.items()
            if is_due(past, is_open=change_id in known, now=now)
        ]
        fresh = _fresh(context, workshop, known, making, now)
        requests += [_request(change_id, job.name, 1) for change_id in fresh]
        if not requests:
            return dg.SkipReason("No issue waits for a change.")
        adds = [CHANGE.build_add_request(list(fresh))] if fresh else []
        return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=adds)

    return sensor


def soaked_sensor(job: Job, seconds: int, clock: Clock = utc_now) -> dg.SensorDefinition:
    """Ask for the outcome of each change whose release was watched long enough."""

    @dg.sensor(
        name="learn",
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks what came of a change, once its release was watched long enough.",
    )
    def sensor(context: dg.SensorEvaluationContext, workshop: Held) -> Answer:
        now, plan = clock(), PLANS[workshop.settings.rollout.plan]
        soaked = [one for one in workshop.changes.all(active=True) if is_soaked(one, plan, now)]
        for change in soaked:
            hour = int(now.timestamp()) // HOUR_SECONDS
            yield _request(change.change_id, f"{job.name}:{hour}", 1)
        if not soaked:
            yield dg.SkipReason("No release was watched long enough.")

    return sensor


def following_sensor(
    name: str, job: Job, seconds: int, what: str, is_one: Callable[[Link], bool]
) -> dg.SensorDefinition:
    """Follow the ledger, and start a job for each change of which it tells such a row."""

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=what,
    )
    def sensor(
        context: dg.SensorEvaluationContext, workshop: Held
    ) -> dg.SensorResult | dg.SkipReason:
        rows = workshop.ledger.after(int(context.cursor or 0))
        turns = {row.entry.change_id: row.seq for row in rows if is_one(row)}
        if not rows:
            return dg.SkipReason("The ledger did not grow.")
        return dg.SensorResult(
            run_requests=[_request(name, job.name, seq) for name, seq in turns.items()],
            cursor=str(rows[-1].seq),
        )

    return sensor


def approved_sensor(job: Job, seconds: int, clock: Clock = utc_now) -> dg.SensorDefinition:
    """Ask for the approval of each change that somebody signed, again while it waits."""

    @dg.sensor(
        name="approve",
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Checks each signed approval and carries it out.",
    )
    def sensor(context: dg.SensorEvaluationContext, workshop: Held) -> Answer:
        now = clock()
        signed = [
            one
            for one in to_approve(workshop, now)
            if not _in_flight(context.instance, job.name, one.change_id)
        ]
        for decision in signed:
            attempt = f"{job.name}:{decision.decision_id}:{int(now.timestamp()) // ROUND_SECONDS}"
            yield _request(decision.change_id, attempt, 1)
        if not signed:
            yield dg.SkipReason("No approval waits.")

    return sensor


def waiting_sensor(
    name: str,
    job: Job | dg.JobDefinition,
    seconds: int,
    what: str,
    waits: Callable[[Workshop, datetime], str | None],
    clock: Clock = utc_now,
) -> dg.SensorDefinition:
    """Start a job while something waits for it and it is not running.

    `waits` names what waits as a run key: nothing is started twice for the same.
    """

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=what,
    )
    def sensor(context: dg.SensorEvaluationContext, workshop: Held) -> Answer:
        if _in_flight(context.instance, job.name):
            yield dg.SkipReason("It is running.")
        elif (key := waits(workshop, clock())) is not None:
            yield dg.RunRequest(run_key=key)
        else:
            yield dg.SkipReason("Nothing waits.")

    return sensor


def _making(
    instance: dg.DagsterInstance, ledger: Ledger, known: Mapping[str, Change]
) -> dict[str, Past]:
    """Return the past of each change in the making, and of those that were never opened."""
    return {
        change_id: _past(instance, ledger, change_id)
        for change_id in instance.get_dynamic_partitions(str(CHANGE.name))
        if change_id not in known or known[change_id].state in MAKING
    }


def _past(instance: dg.DagsterInstance, ledger: Ledger, change_id: str) -> Past:
    """Return the runs of a change: those before its base or patch changed say nothing of it now."""
    records = instance.get_run_records(dg.RunsFilter(tags={CHANGE_TAG: change_id}))
    runs = [record.dagster_run for record in records]
    moved = [row for kind in ANEW for row in ledger.find(kind, change_id)]
    if moved:
        since = max(row.entry.at for row in moved)
        records = [one for one in records if one.create_timestamp >= since]
    ended = [
        datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
        for record in records
        if record.dagster_run.status not in UNFINISHED
        and INTERRUPTED_TAG not in record.dagster_run.tags
    ]
    return Past(
        runs=len(runs),
        begun=min((record.create_timestamp for record in records), default=None),
        is_busy=any(run.status in UNFINISHED for run in runs),
        ended=tuple(ended),
        has_moved=bool(moved),
    )


def _fresh(
    context: dg.SensorEvaluationContext,
    workshop: Workshop,
    known: Mapping[str, Change],
    making: Mapping[str, Past],
    now: datetime,
) -> tuple[str, ...]:
    """Return ids of changes to open, worst issue first, within the owner's limit."""
    try:
        found = pin(context.instance, workshop.ledger, RANKING, None)
        board = workshop.evidence.get(found.sha256, Board)
    except (dg.Failure, SelfdriveError) as fault:
        context.log.info(f"No board can be read, so no change is opened: {fault}")
        return ()
    given_up = {name for name in making if name not in known and is_given_up(making[name], now)}
    again = given_up | {
        name
        for name, change in known.items()
        if _failed_us(workshop, board, change) or _came_back(workshop, board, change)
    }
    room = workshop.settings.autonomy.max_open_changes - len(making.keys() - given_up)
    return to_open(board, known.keys() | making.keys(), again)[: max(0, room)]


def _failed_us(workshop: Workshop, board: Board, change: Change) -> bool:
    """Say whether a change expired in our hands: nobody has seen it, nobody refused it."""
    if change.state is not State.EXPIRED or change.issue_id not in board.crashes:
        return False
    rows = workshop.ledger.find(f"change.{Event.DEADLINE.value}", change.change_id)
    return any(row.entry.body.get("from") in {state.value for state in MAKING} for row in rows)


def _came_back(workshop: Workshop, board: Board, change: Change) -> bool:
    """Say whether a change did not hold with users, and its issue is still one to try."""
    if change.state is not State.LEARNED or change.issue_id not in board.crashes:
        return False
    return ended_badly(workshop, change.change_id) is not None


def _request(
    change_id: str, job_name: str, attempt: int, *, is_approved: bool = False
) -> dg.RunRequest:
    """Ask for a run; what a person approved already waits for nothing that is new."""
    first = {"dagster/priority": "10", LANE_TAG: AGAIN} if is_approved else {}
    return dg.RunRequest(
        run_key=f"{change_id}:{job_name}:{attempt}",
        partition_key=change_id,
        tags={CHANGE_TAG: change_id, **first},
    )


def _in_flight(instance: dg.DagsterInstance, job_name: str, change_id: str = "") -> bool:
    """Say whether a job runs, or waits to; of one change, where it is named."""
    tags = {CHANGE_TAG: change_id} if change_id else {}
    asked = dg.RunsFilter(job_name=job_name, tags=tags, statuses=list(UNFINISHED))
    return instance.get_runs_count(asked) > 0
