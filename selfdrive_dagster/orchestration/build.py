"""Definitions from a function: what the app hands in, jobs and sensors around it.

No asset or rule lives here; `assets/` says what the stages are, the library what they do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as Job,
)

from selfdrive_dagster.orchestration import sensors
from selfdrive_dagster.orchestration.instance import LANE_TAG
from selfdrive_dagster.orchestration.observing import asks_for_head, is_turn
from selfdrive_dagster.orchestration.proposing import waits
from selfdrive_dagster.orchestration.workshop import Workshop, opened

BATCH_SECONDS = 15
CHANGE_SECONDS = 10
SOON_SECONDS = 5
"""Between looks for what somebody waits for: a change to try, a signature."""

LOOK_SECONDS = 60
BATCHES, CHANGES, APPROVALS = "batches", "changes", "approvals"
TURNS, OUTCOMES = "turns", "outcomes"
"""The lanes: of either one run is in flight, whoever asked for it."""

MOST_SECONDS = {
    "batch": 900,
    "propose": 3600,
    "look_outside": 900,
    "learn": 900,
    "approve": 300,
    "turn": 300,
    "prove_head": 1800,
    "tidy": 600,
}


def build_definitions(
    *,
    sql_dir: Path,
    tables: Sequence[dg.AssetsDefinition],
    stages: Sequence[dg.AssetsDefinition],
    approval: dg.AssetsDefinition,
    stage: dg.AssetsDefinition,
    head: dg.AssetsDefinition,
    outcome: dg.AssetsDefinition,
    look_outside: dg.JobDefinition,
    tidy: dg.JobDefinition,
    observe: bool = False,
) -> dg.Definitions:
    """Return the code location. With `observe` the loop stops at issues: no change is opened."""
    batch = _job("batch", tables, "Closed segments to tables, issues and their ranking.", BATCHES)
    propose = _job("propose", stages, "One change, from its diagnosis to its proposal.", CHANGES)
    learn = _job("learn", [outcome], "What came of a change that users have.", OUTCOMES)
    # A lane of its own: who signed does not wait until the change in the making is done.
    approve = _job("approve", [approval], "What a person signed, checked again.", APPROVALS)
    prove_head = _job("prove_head", [head], "A change on the branch of today.", TURNS)
    turn = _job("turn", [stage], "A turn of a rollout, with its evidence.", TURNS)
    moving = [sensors.segments_sensor(batch, BATCH_SECONDS)]
    if not observe:
        moving.append(sensors.changes_sensor(propose, SOON_SECONDS))
        moving.append(sensors.approved_sensor(approve, SOON_SECONDS))
        follow = sensors.following_sensor
        what = "Follows the ledger: records each turn of a rollout with its evidence."
        moving.append(follow("turns", turn, CHANGE_SECONDS, what, is_turn))
        what = "Proves what users met on the branch as it is by now, before it is merged."
        moving.append(follow("heads", prove_head, CHANGE_SECONDS, what, asks_for_head))
        moving.append(sensors.soaked_sensor(learn, BATCH_SECONDS))
        moving.append(
            sensors.waiting_sensor(
                "look_outside",
                look_outside,
                LOOK_SECONDS,
                "Asks git whether others merged a proposal; carries out decisions and deadlines.",
                waits,
            )
        )
    return dg.Definitions(
        assets=[*tables, *stages, approval, stage, head, outcome],
        jobs=[batch, propose, approve, turn, prove_head, learn, look_outside, tidy],
        sensors=moving,
        schedules=[_hourly(batch, 0), _hourly(tidy, 30)],
        resources={"workshop": _workshop(sql_dir)},
        executor=dg.in_process_executor,
    )


def _job(name: str, assets: Sequence[dg.AssetsDefinition], description: str, lane: str) -> Job:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets),
        description=description,
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": str(MOST_SECONDS[name]), LANE_TAG: lane},
    )


def _hourly(job: Job | dg.JobDefinition, minute: int) -> dg.ScheduleDefinition:
    """Run once an hour: rank even when nothing arrives, since scores decay; keep the log small."""
    return dg.ScheduleDefinition(
        job=job,
        cron_schedule=f"{minute} * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def plain_job(
    name: str, description: str, work: Callable[[Workshop, str], Mapping[str, Any]]
) -> dg.JobDefinition:
    """Make a job of one function of (workshop, run id); what it returns is shown with the run."""

    @dg.op(name=f"{name}_op", description=description, required_resource_keys={"workshop"})
    def op(context: dg.OpExecutionContext) -> None:
        context.add_output_metadata(dict(work(context.resources.workshop, context.run.run_id)))

    @dg.job(
        name=name,
        description=description,
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": str(MOST_SECONDS[name])},
    )
    def job() -> None:
        op()

    return job


def _workshop(sql_dir: Path) -> dg.ResourceDefinition:
    def make(_context: dg.InitResourceContext) -> Iterator[Workshop]:
        with opened(sql_dir) as workshop:
            yield workshop

    return dg.ResourceDefinition(
        resource_fn=make, description="The stores and tools of one home and one product."
    )
