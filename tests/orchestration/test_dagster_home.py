"""Dagster's home on a real database: private, offline, and no run unfinished for ever."""

import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._daemon.types import DaemonHeartbeat
from sqlalchemy import Engine, inspect

from selfdrive_dagster.adapters.postgres import DatabaseUnreachable, open_database
from selfdrive_dagster.orchestration.instance import (
    INTERRUPTED_TAG,
    booted_at,
    fail_stale_runs,
    note_boot,
    opened,
    prepare_dagster_home,
)

RUN = """
import sys, time
import dagster as dg

@dg.op
def hang():
    print("running", flush=True)
    time.sleep(60)

@dg.job
def hanging():
    hang()

if __name__ == "__main__":
    with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
        hanging.execute_in_process(instance=instance)
"""


@dg.job
def nothing() -> None: ...


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


def test_a_killed_run_is_failed_at_the_next_boot(
    home: Path, database_url: str, engine: Engine
) -> None:
    folder = prepare_dagster_home(home, database_url)
    assert prepare_dagster_home(home, database_url) == folder  # a second boot
    assert fail_stale_runs(home) == ()
    tables = inspect(engine)
    assert "runs" in tables.get_table_names("dagster")
    assert tables.get_table_names("public") == []

    running = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert running.stdout.readline() == b"running\n"
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()

    (run_id,) = fail_stale_runs(home)
    with opened(folder) as instance:
        assert instance.get_run_by_id(run_id).status is DagsterRunStatus.FAILURE
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False
    assert fail_stale_runs(home) == ()


def test_a_stop_is_told_from_a_person_who_cancels(home: Path, database_url: str) -> None:
    """`up` ends the daemon before it cancels runs; a person cancels while it lives."""
    folder = prepare_dagster_home(home, database_url)
    assert fail_stale_runs(home) == ()
    canceled = []
    with opened(folder) as instance:
        for lives_on in (True, False):
            run = instance.create_run_for_job(nothing)
            instance.report_run_canceled(run)
            canceled.append(run.run_id)
            if lives_on:
                beat = DaemonHeartbeat(time.time(), "SENSOR", None, None)
                instance.add_daemon_heartbeat(beat)
    for _ in range(2):  # a second boot marks no more
        assert fail_stale_runs(home) == ()
        with opened(folder) as instance:
            marked = [INTERRUPTED_TAG in instance.get_run_by_id(name).tags for name in canceled]
        assert marked == [False, True]


def test_the_time_of_a_boot_is_noted(home: Path) -> None:
    (home / "dagster").mkdir()
    assert booted_at(home) < datetime(1970, 1, 1, tzinfo=UTC)
    now = datetime.now(UTC)
    note_boot(home, now)
    assert booted_at(home) == now


def test_a_real_server_with_a_password(home: Path, password_server: str) -> None:
    with open_database(home, password_server) as url:
        folder = prepare_dagster_home(home, url)
        with opened(folder) as instance:
            assert instance.get_runs() == []
    for name in ("dagster.yaml", "passfile"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert "s3cr" not in (folder / "dagster.yaml").read_text()  # the UI shows this file
    wrong = password_server.replace("s3cr", "wr0ng")
    with (
        pytest.raises(DatabaseUnreachable, match="authentication failed") as caught,
        open_database(home, wrong),
    ):
        pass
    assert "wr0ng" not in str(caught.value)
