"""`selfdrive serve` and `selfdrive rollback` as a user runs them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.fronts import SOUND, MadeFront, Visitor, kill_hard
from fakes.noted_loop import NotedLoop
from fakes.rolling import TO_PROMOTED, led
from fakes.selfdrive_program import environment, selfdrive
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.processes import leftovers
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.rollback import rollback as rollback_command
from selfdrive_dagster.cli.serve import serve
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.rollout.traffic import Cause

SETTINGS = """
[service]
source = ["app.py"]
[rollout]
actuator = "traefik"
run = "python app.py {{port}}"
environment = {{ RELEASE = "{{revision}}" }}
health = "/health"
listen = "127.0.0.1:{port}"
"""


class Served(MadeFront):
    """A front that the command keeps running."""

    def serve(self) -> dict[str, object]:
        """Run `selfdrive serve`, and return what it says when it is ready."""
        text = SETTINGS.format(port=self.port)
        self.repository.write("selfdrive.toml", text)
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "selfdrive_dagster", "serve", "--json"],
                cwd=self.repository.path,
                env=environment(self.folder, SELFDRIVE_HOME=str(self.home)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        line = self.process.stdout.readline()
        assert line, (self.folder / "said").read_text()
        return json.loads(line)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()
    assert leftovers(made.files.folder) == ()


def rollback(served: Served, *arguments: str) -> dict[str, object]:
    said = selfdrive(
        "rollback", *arguments, "--json", cwd=served.folder, SELFDRIVE_HOME=str(served.home)
    )
    assert said.code == 0, said.err
    return said.json()


@pytest.mark.slow
def test_serve_then_rollback_of_a_change_on_trial(served: Served) -> None:
    ready = served.serve()
    assert ready["address"] == f"http://127.0.0.1:{served.port}"
    assert ready["stable"] == served.stable
    canary = served.commit(SOUND)
    served.stage("chg_00000001aaaaaaaa", canary)
    served.set(0.5)
    crowd = served.crowd(20)
    done = rollback(served, "chg_00000001", "--reason", "it hurts")
    assert (done["moved"], done["share"]) == (True, 0.0)
    assert done["change_id"] == "chg_00000001aaaaaaaa"
    assert done["noted"] == "the front's journal"  # no loop has run on this home
    assert done["seconds"] < 3
    assert served.answers(crowd) == {served.stable: 20}
    (entry,) = served.files.journal()
    assert (entry.cause, entry.reason) == (Cause.COMMAND, "it hurts")
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(20) == 130
    assert Visitor(served.port).visit() == ""


@pytest.mark.slow
def test_serve_keeps_the_front_running_and_watches_its_lease(served: Served) -> None:
    served.serve()
    served.stage("chg_00000002aaaaaaaa", served.commit(SOUND))
    served.set(0.5)
    front = next(
        process
        for process in leftovers(served.files.folder, "front")
        if "selfdrive_dagster.adapters.front" in process.cmdline()
    )
    front.send_signal(signal.SIGSTOP)
    wanted = served.actuator.read().wanted
    late = wanted.lease_until.replace(year=2020)
    served.files.write(
        served.files.wanted_file, type(wanted)(**{**fields(wanted), "lease_until": late})
    )
    crowd = served.crowd(10)
    served.wait(lambda: served.answers(crowd) == {served.stable: 10}, 8)
    assert "the front did not act" in served.files.journal()[-1].reason
    kill_hard(front)
    served.wait(lambda: Visitor(served.port).visit() == "", 10)
    served.wait(lambda: Visitor(served.port).visit() == served.stable, 20)


def fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


APP = build_app((Command("rollback", rollback_command, "Loop"), Command("serve", serve, "Loop")))


def run(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(APP, list(arguments), obj=Invocation(), standalone_mode=False)


def test_what_is_on_no_front_of_ours_is_noted_for_the_loop(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("SELFDRIVE_HOME", str(home))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    NotedLoop(engine, home).opens(found.CHANGE, found.ISSUE)
    done = run("rollback", found.CHANGE, "--reason", "it hurts", "--json")
    told = json.loads(done.stdout)
    assert (told["moved"], told["noted"]) == (False, "the loop's decisions")
    (decision,) = Decisions(engine).waiting()
    assert (decision.verdict, decision.reason) == ("abort", "it hurts")
    assert isinstance(run("rollback", "chg_ffff").exception, BadInput)
    assert not (home / "front").exists()


def promoted_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TraefikActuator:
    """A home whose front was last told to serve a promoted change; no front runs."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("SELFDRIVE_HOME", str(home))
    actuator = TraefikActuator(home)
    actuator.stage(generation=0, stable="merged", change_id=found.CHANGE, before="base")
    return actuator


def test_a_promoted_change_goes_out_of_the_traffic_and_what_is_left_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No loop, no database, no front."""
    actuator = promoted_home(tmp_path, monkeypatch)
    done = run("rollback", found.CHANGE, "--reason", "it hurts", "--json")
    told = json.loads(done.stdout)
    assert (told["moved"], told["stable"], told["exposed"]) == (True, "base", False)
    assert "the next `selfdrive up` takes it out" in told["left"]
    assert actuator.read().wanted.stable == "base"
    [entry] = actuator.files.journal()
    assert (entry.cause, entry.change_id) == (Cause.COMMAND, found.CHANGE)
    again = json.loads(run("rollback", found.CHANGE[:8], "--json").stdout)
    assert (again["moved"], again["stable"], again["exposed"]) == (True, "base", False)


def test_a_promoted_change_that_no_front_of_ours_serves_is_not_called_done(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("SELFDRIVE_HOME", str(home))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    change = led(engine, "promoted", *TO_PROMOTED)
    done = run("rollback", change.change_id, "--reason", "it hurts", "--json")
    told = json.loads(done.stdout)
    assert (told["moved"], told["exposed"], told["noted"]) == (False, True, "the loop's decisions")
    assert "the next `selfdrive up` moves it" in told["left"]
    assert done.return_value == 1
    [decision] = Decisions(engine).waiting()
    assert decision.verdict == "abort"


@pytest.mark.slow
def test_a_promoted_change_that_a_front_serves_is_replaced_by_the_revision_before(
    served: Served,
) -> None:
    served.serve()
    merged = served.commit(SOUND)
    generation = served.actuator.read().wanted.generation
    served.actuator.stage(
        generation=generation, stable=merged, change_id="chg_00000003aaaaaaaa", before=served.stable
    )
    served.wait_seen(lambda seen: seen.stable == merged and seen.stable_healthy)
    crowd = served.crowd(5)
    assert set(served.answers(crowd)) == {merged}
    done = rollback(served, "chg_00000003", "--reason", "it hurts")
    assert (done["serves"], done["exposed"]) == (served.stable, False)
    served.wait(lambda: served.answers(crowd) == {served.stable: 5}, 3)


@pytest.mark.slow
def test_a_hung_front_that_still_serves_a_promoted_change_is_told(served: Served) -> None:
    served.serve()
    merged = served.commit(SOUND)
    generation = served.actuator.read().wanted.generation
    served.actuator.stage(
        generation=generation, stable=merged, change_id="chg_00000003aaaaaaaa", before=served.stable
    )
    served.wait_seen(lambda seen: seen.stable == merged and seen.stable_healthy)
    front = next(
        process
        for process in leftovers(served.files.folder, "front")
        if "selfdrive_dagster.adapters.front" in process.cmdline()
    )
    front.send_signal(signal.SIGSTOP)
    try:
        said = selfdrive(
            "rollback", "--now", "--json", cwd=served.folder, SELFDRIVE_HOME=str(served.home)
        )
    finally:
        front.send_signal(signal.SIGCONT)
    assert said.code == 1
    assert said.json()["exposed"] is True
    served.wait_seen(lambda seen: seen.stable == served.stable and seen.stable_healthy)


@pytest.mark.parametrize("arguments", [(), ("chg_0", "--now"), ("chg_0", "--reason", " ")])
def test_a_rollback_needs_a_change_or_now_and_a_reason(arguments: tuple[str, ...]) -> None:
    assert isinstance(run("rollback", *arguments).exception, BadInput)


def test_a_product_that_nobody_can_start_is_not_served(tmp_path: Path) -> None:
    failed = run("serve", str(tmp_path)).exception
    assert isinstance(failed, BadInput)
    assert "[rollout] run" in failed.remedy
