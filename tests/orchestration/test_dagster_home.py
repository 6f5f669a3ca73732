"""Dagster's home on a real database: private, offline, and no run unfinished for ever."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import DagsterRunStatus
from sqlalchemy import Engine, inspect

from selfdrive_dagster.adapters.postgres import DatabaseUnreachable, open_database
from selfdrive_dagster.orchestration.instance import (
    fail_stale_runs,
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
