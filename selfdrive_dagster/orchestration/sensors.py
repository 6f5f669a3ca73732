"""What moves things: new segments, triaged issues, unfinished changes, decisions.

A sensor looks and requests; it runs no model, no test and no git. A run key is
(change, job, attempt): Dagster never launches a key twice, so nothing is started doubly.
"""

from collections.abc import Callable, Iterator

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as Job,
)

from selfdrive_dagster.adapters.ingest import waiting_segments
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.orchestration.instance import INTERRUPTED_TAG, LANE_TAG, UNFINISHED
from selfdrive_dagster.orchestration.opening import to_open
from selfdrive_dagster.orchestration.pins import pin
from selfdrive_dagster.orchestration.stages import CHANGE
from selfdrive_dagster.orchestration.tables import RANKING
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout.lifecycle import ENDS, State

ATTEMPTS = 3
"""Failed runs of one change before a person must look; interrupted ones do not count."""

FAILURE = dg.DagsterRunStatus.FAILURE

CHANGE_TAG = "selfdrive/change"
LANE = {LANE_TAG: "changes"}

Answer = Iterator[dg.RunRequest | dg.SkipReason | dg.SensorResult]


def segments_sensor(job: Job, seconds: int) -> dg.SensorDefinition:
    """Start a batch when closed segments wait and no batch is in flight."""

    @dg.sensor(
        name="new_segments",
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Materializes the tables when the receiver has closed a segment.",
        required_resource_keys={"workshop"},
    )
    def sensor(context: dg.SensorEvaluationContext) -> Answer:
        workshop: Workshop = context.resources.workshop
        if not waiting_segments(workshop.segments):
            yield dg.SkipReason("No closed segment waits.")
        elif _in_flight(context.instance, job.name):
            yield dg.SkipReason("A batch is running.")
        else:
            yield dg.RunRequest()

    return sensor


def changes_sensor(job: Job, seconds: int) -> dg.SensorDefinition:
    """Open a change for each triaged issue, and try again what a crash of ours interrupted."""

    @dg.sensor(
        name="open_changes",
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Opens a change for each issue triaged autofix, worst first, and takes up "
        "interrupted ones.",
        required_resource_keys={"workshop"},
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        workshop: Workshop = context.resources.workshop
        requests = [*_unfinished(context.instance, workshop, job.name)]
        fresh = _fresh(context.instance, workshop)
        requests += [_request(change_id, job.name, 1) for change_id in fresh]
        if not requests:
            return dg.SkipReason("No issue waits for a change.")
        adds = [CHANGE.build_add_request(list(fresh))] if fresh else []
        return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=adds)

    return sensor


def waiting_sensor(
    name: str,
    job: Job | dg.JobDefinition,
    seconds: int,
    what: str,
    waits: Callable[[Workshop], bool],
) -> dg.SensorDefinition:
    """Start a job while something waits for it and it is not running."""

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=what,
        required_resource_keys={"workshop"},
    )
    def sensor(context: dg.SensorEvaluationContext) -> Answer:
        if _in_flight(context.instance, job.name):
            yield dg.SkipReason("It is running.")
        elif waits(context.resources.workshop):
            yield dg.RunRequest()
        else:
            yield dg.SkipReason("Nothing waits.")

    return sensor


def _fresh(instance: dg.DagsterInstance, workshop: Workshop) -> tuple[str, ...]:
    """Return ids of changes to open, worst issue first, within the owner's limit."""
    try:
        found = pin(instance, workshop.ledger, RANKING, None)
    except dg.Failure:
        return ()
    board = workshop.evidence.get(found.sha256, Board)
    known = set(instance.get_dynamic_partitions(str(CHANGE.name)))
    ended = {c.change_id for c in workshop.changes.all() if c.state in ENDS}
    settled = {c.change_id for c in workshop.changes.all() if c.state is State.AWAITING_APPROVAL}
    room = workshop.settings.autonomy.max_open_changes - len(known - ended - settled)
    return to_open(board, known)[: max(0, room)]


def _unfinished(
    instance: dg.DagsterInstance, workshop: Workshop, job_name: str
) -> Iterator[dg.RunRequest]:
    """Yield a new attempt for each change in the making that no run works on."""
    making = (State.DRAFT, State.VALIDATING, State.VALIDATED)
    opened = {c.change_id: c.state for c in workshop.changes.all()}
    for change_id in instance.get_dynamic_partitions(str(CHANGE.name)):
        if opened.get(change_id, State.DRAFT) not in making:
            continue
        runs = instance.get_runs(dg.RunsFilter(tags={CHANGE_TAG: change_id}))
        busy = any(run.status in UNFINISHED for run in runs)
        failed = [r for r in runs if r.status is FAILURE and INTERRUPTED_TAG not in r.tags]
        if runs and not busy and len(failed) < ATTEMPTS:
            yield _request(change_id, job_name, len(runs) + 1)


def _request(change_id: str, job_name: str, attempt: int) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{change_id}:{job_name}:{attempt}",
        partition_key=change_id,
        tags={CHANGE_TAG: change_id, **LANE},
    )


def _in_flight(instance: dg.DagsterInstance, job_name: str) -> bool:
    return instance.get_runs_count(dg.RunsFilter(job_name=job_name, statuses=list(UNFINISHED))) > 0
