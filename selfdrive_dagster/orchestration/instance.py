"""Dagster's home: its configuration, its first opening, and the runs of an earlier boot.

Dagster keeps its tables in the schema `dagster` of our one database. A password is never
written into `dagster.yaml`, which the UI shows; libpq reads it from a file beside it.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from sqlalchemy.engine import make_url

SCHEMA = "dagster"
BOOTED = "booted"
LANE_TAG = "selfdrive/lane"
"""Of the runs whose tag has the same value, one is in flight at a time."""

INTERRUPTED_TAG = "selfdrive/interrupted"
"""Marks a run that an end of Selfdrive cut short: it says nothing against its change."""

UNFINISHED = (
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)


def prepare_dagster_home(
    home: Path, url: str, *, max_concurrent_runs: int = 4, max_runtime_seconds: int = 3600
) -> Path:
    """Write `<home>/dagster/dagster.yaml`, open the instance once, and return DAGSTER_HOME.

    To be called by one process before any other opens the instance: two first openings race
    in Dagster's own migrations and can spoil the storage for good. `url` is `open_database`'s.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "storage": {"postgres": {"postgres_db": storage(folder, url)}},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {
                "max_concurrent_runs": max_concurrent_runs,
                "dequeue_interval_seconds": 1,
                "tag_concurrency_limits": [
                    {"key": LANE_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
                ],
            },
        },
        "run_monitoring": {"enabled": True, "max_runtime_seconds": max_runtime_seconds},
        "sensors": {"use_threads": True, "num_workers": 4},
        "schedules": {"use_threads": True, "num_workers": 2},
        "retention": {
            "sensor": {"purge_after_days": {"skipped": 1, "started": 7, "success": 7}},
        },
    }
    heading = b"# Written by Selfdrive at each start: what you change here is overwritten.\n"
    write_private(folder / "dagster.yaml", heading + msgspec.yaml.encode(settings))
    with opened(folder):
        pass
    return folder


def storage(folder: Path, url: str) -> dict[str, Any]:
    """Spell an address the way `dagster-postgres` wants it, the password in a file apart."""
    parsed = make_url(url)
    params: dict[str, Any] = {**parsed.query, "options": f"-csearch_path={SCHEMA}"}
    if parsed.password:
        escaped = str(parsed.password).replace("\\", "\\\\").replace(":", "\\:")
        write_private(folder / "passfile", f"*:*:*:*:{escaped}\n".encode())
        params["passfile"] = str(folder / "passfile")
    return {
        "scheme": "postgresql+psycopg2",
        "username": parsed.username or "",
        "hostname": parsed.host or "",
        "port": parsed.port or 5432,
        "db_name": parsed.database or "",
        "params": params,
    }


def fail_stale_runs(home: Path) -> tuple[str, ...]:
    """Fail every run that an earlier boot left unfinished; return their ids.

    To be called before the daemon starts: a run killed with its machine stays STARTED for
    ever otherwise, and holds its place in the queue. Those that the stop itself canceled are
    marked as interrupted too, so that they can be told from those that a person canceled.
    """
    with opened(home / "dagster") as instance:
        for run in canceled_by_the_stop(instance):
            instance.add_run_tags(run.run_id, {INTERRUPTED_TAG: "true"})
        runs = instance.get_runs(RunsFilter(statuses=list(UNFINISHED)))
        for run in runs:
            instance.report_run_failed(run, "Selfdrive was stopped while this run was unfinished.")
            instance.add_run_tags(run.run_id, {INTERRUPTED_TAG: "true"})
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        return tuple(run.run_id for run in runs)


def canceled_by_the_stop(instance: DagsterInstance) -> tuple[DagsterRun, ...]:
    """Return the runs that were canceled after the daemon's last sign of life.

    `up` ends the daemon before it cancels runs. A person's cancel in the last half minute
    before it looks the same; that run is then taken up again.
    """
    beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    if not beats:
        return ()
    last = datetime.fromtimestamp(max(beats), UTC)
    canceled = RunsFilter(statuses=[DagsterRunStatus.CANCELED], updated_after=last)
    return tuple(instance.get_runs(canceled))


def note_boot(home: Path, now: datetime) -> None:
    """Note when the loop was started: what only the loop does has no deadline while it is off."""
    write_private(home / "dagster" / BOOTED, now.isoformat().encode())


def booted_at(home: Path) -> datetime:
    """Return when the loop was started last; before all time where no start was noted."""
    try:
        return datetime.fromisoformat((home / "dagster" / BOOTED).read_text())
    except FileNotFoundError:
        return datetime.min.replace(tzinfo=UTC)


def opened(folder: Path) -> DagsterInstance:
    """Open the instance of a DAGSTER_HOME; a context manager that disposes of it."""
    return DagsterInstance.from_config(str(folder))


def write_private(path: Path, data: bytes) -> None:
    """Replace a small file, readable by its owner only, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    fresh.replace(path)
