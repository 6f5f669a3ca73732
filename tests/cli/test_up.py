"""`selfdrive up` with real processes: ready, alone, gone without a trace, and up again."""

import os
import random
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fakes.loops import Loop, modes_above
from fakes.selfdrive_program import selfdrive

PATIENCE_SECONDS = 20
"""What a busy machine may need where an idle one needs 5."""


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    made = Loop(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.down()
    for process in made.processes():
        process.kill()


def test_a_used_port_is_told_before_anything_starts(loop: Loop) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", loop.ui_port))
        taken.listen()
        process = loop.start()
        assert process.communicate(timeout=30)[0] == ""
    said = (loop.folder / "said").read_text()
    assert process.returncode == 5
    assert f"127.0.0.1:{loop.ui_port} is in use; the Dagster UI needs it." in said
    assert "--port" in said
    assert not (loop.home / "postgres").exists()


def test_what_a_settings_file_does_unseen_is_said_first(loop: Loop) -> None:
    with (loop.product / "selfdrive.toml").open("a") as file:
        file.write('forward = "https://hunter2@sentry.example/7"\n[notify]\nurls = ["json://x"]\n')
    loop.home.mkdir(mode=0o700)
    (loop.home / "STOP").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", loop.ui_port))
        taken.listen()
        assert loop.start().communicate(timeout=30)[0] == ""
    said = (loop.folder / "said").read_text()
    assert "The kill switch is thrown" in said
    assert "unredacted, to https://sentry.example/7" in said
    assert "not acted on yet: [notify] urls" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--app", "."], "--app"),
        (["nowhere"], "nowhere does not exist"),
        (["--port", "0"], "--port"),
    ],
)
def test_what_cannot_be_run_is_told(options: list[str], words: str, tmp_path: Path) -> None:
    said = selfdrive("up", *options, cwd=tmp_path)
    assert said.code == 2
    assert words in said.err
    assert not (tmp_path / ".local").exists()


@pytest.mark.slow
def test_a_loop_starts_is_alone_and_leaves_nothing(loop: Loop) -> None:
    before = modes_above(loop.folder)
    ready = loop.up("--observe")
    assert ready["ready"] is True
    assert ready["observe"] is True
    assert loop.send_event()
    again = selfdrive("up", cwd=loop.product, SELFDRIVE_HOME=str(loop.home))
    assert again.code == 5
    assert f"process {loop.process.pid}, since " in again.err
    run = loop.wait_for_run()
    assert {"key": "observe", "value": "1"} in run["tags"]
    assert "password" not in " ".join(" ".join(p.cmdline()) for p in loop.processes())

    code, seconds = loop.down(signal.SIGINT)
    assert code == 130
    assert seconds < PATIENCE_SECONDS
    assert loop.processes() == []
    assert modes_above(loop.folder) == before
    assert stat.S_IMODE(loop.home.stat().st_mode) == 0o700

    second = loop.up()  # the run in flight was canceled in order: nothing is left to be failed
    assert second["failed_runs"] == []
    assert [found["runId"] for found in loop.runs("CANCELED")] == [run["runId"]]
    assert loop.stats()["stored"] == 1
    assert loop.down(signal.SIGTERM)[0] == 0
    assert loop.processes() == []


@pytest.mark.slow
def test_a_broken_app_is_told_with_its_log(loop: Loop, tmp_path: Path) -> None:
    app = tmp_path / "broken"
    (app / "assets").mkdir(parents=True)
    (app / "assets" / "definitions.py").write_text("import nothing_of_the_kind\n")
    process = loop.start("--app", str(app))
    assert process.communicate(timeout=60)[0] == ""
    said = (loop.folder / "said").read_text()
    assert process.returncode == 1
    assert "nothing_of_the_kind" in said
    assert str(loop.home / "logs" / "code-server.log") in said.replace("\n", "")
    assert loop.processes() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [7, 19, 401])
def test_nothing_is_lost_or_left_when_everything_is_killed(loop: Loop, seed: int) -> None:
    """At a random moment a random part of the loop is killed -9, `up` always among it."""
    chance = random.Random(seed)
    before = modes_above(loop.folder)
    acknowledged = 0
    for round_number in range(3):
        loop.start()
        end = time.monotonic() + chance.uniform(0.5, 20.0)
        while time.monotonic() < end:
            acknowledged += loop.send_event()
            time.sleep(0.2)
        victims = [p for p in loop.processes() if round_number == 0 or chance.random() < 0.5]
        os.kill(loop.process.pid, signal.SIGKILL)
        for victim in victims:
            with suppress(psutil.NoSuchProcess):  # it went with the one before
                victim.kill()
        loop.process.wait()
        loop.process.stdout.close()
    ready = loop.up()
    started = {run["runId"] for run in loop.runs("STARTED")}
    assert not started & set(ready["failed_runs"])
    run = loop.wait_for_run()
    assert [found["runId"] for found in loop.runs("STARTED")] == [run["runId"]]
    assert loop.stats()["stored"] >= acknowledged  # unanswered events may be stored as well
    assert acknowledged > 0
    assert modes_above(loop.folder) == before
    os.kill(loop.process.pid, signal.SIGKILL)
    loop.process.wait()
    loop.wait_for_nobody(PATIENCE_SECONDS)
    loop.process.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_dies_is_started_again(loop: Loop) -> None:
    loop.up()
    loop.wait_for_run()
    for name in ("receiver", "daemon"):
        loop.part(name).kill()
    deadline = time.monotonic() + 150
    while not loop.send_event():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    loop.postmaster().kill()
    while "postgres had ended" not in (loop.folder / "said").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    loop.wait_for_run()
    assert loop.down()[0] == 130
    assert loop.processes() == []
