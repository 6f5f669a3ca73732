"""An app whose one sensor always keeps one run in flight, which never ends by itself."""

import os
import time

import dagster as dg

IN_FLIGHT = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


@dg.op
def hang():
    time.sleep(600)


@dg.job(executor_def=dg.in_process_executor)
def hanging():
    hang()


@dg.sensor(
    job=hanging, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING
)
def keep_one_running(context):
    if not context.instance.get_runs_count(dg.RunsFilter(statuses=IN_FLIGHT)):
        yield dg.RunRequest(tags={"observe": os.environ.get("SELFDRIVE_OBSERVE", "no")})


defs = dg.Definitions(jobs=[hanging], sensors=[keep_one_running])
