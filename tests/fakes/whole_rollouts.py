"""A whole rollout of real processes: controller, front, Traefik, product, PostgreSQL, visitors.

The product answers with an error at a rate of the test's choice once the change is in it. As a
program this is one of two processes: `controller` looks under `PLAN`, `crowd` visits.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
from fakes import made_findings as found
from fakes.fronts import MadeFront, Visitor, free_port, kill_hard
from fakes.selfdrive_program import ROOT, environment
from fakes.signers import SignedProduct
from fakes.steered import SETTINGS

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.front import FrontPlan
from selfdrive_dagster.adapters.postgres import connect, open_database
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.rollout.canary import Guardrail, Plan, Stage
from selfdrive_dagster.rollout.lifecycle import State

PLAN = Plan(
    stages=(
        Stage(share=0.4, margin=20.0, minimum=20, windows=10),
        Stage(share=0.6, margin=10.0, minimum=20, windows=10),
    ),
    bake_minutes=0.1,
    guardrails=(Guardrail("errors", tolerable=0.05),),
    window_seconds=1.0,
    warm_up_windows=1,
    longest_minutes=10.0,
    rests=False,
    stale_windows=4,
    fuse_share=1.0,
    beta=0.2,
)
"""Guarded by the proxy alone, with one-second windows, and without the fuse."""

FAILS = """rate = float(open(os.environ["FAILS"]).read())
        mended = "DEFAULT_RATE" in open("shop/shipping.py").read()
        if mended and self.path == "/" and os.urandom(1)[0] < 256 * rate:
            return self.send_error(500)"""
HERE = ("-P", "-m", "fakes.whole_rollouts")


class Driven(MadeFront):
    """A signed product behind a real front, with a server and a controller of its own."""

    def __init__(self, folder: Path, fails: float = 0.0) -> None:
        self.folder = folder
        self.fail(fails)
        self.postgres = folder / "postgres-home"
        self.postgres.mkdir(mode=0o700)
        self.stack = ExitStack()
        self.url = self.stack.enter_context(open_database(self.postgres))
        self.engine = connect(self.url)
        self.shop = SignedProduct(folder, self.url, self.engine, SETTINGS)
        self.repository, self.home = self.shop.product, self.shop.home
        self.stable = self.commit(FAILS)
        self.shop.base = self.stable
        there = folder / "there.git"
        self.repository.git("init", "-q", "--bare", str(there))
        self.repository.git("remote", "add", "origin", str(there))
        self.repository.git("push", "-q", "origin", "main")
        self.port = free_port()
        self.actuator = TraefikActuator(self.home)
        self.files = self.actuator.files
        self.process: subprocess.Popen[bytes] | None = None
        self.controller: subprocess.Popen[bytes] | None = None
        self.visitors: subprocess.Popen[bytes] | None = None

    def fail(self, rate: float) -> None:
        """Let requests fail at this rate, where the change is in."""
        new = self.folder / "fails.new"
        new.write_text(str(rate))
        new.replace(self.folder / "fails")

    @property
    def plan(self) -> FrontPlan:
        base = super().plan
        return msgspec.structs.replace(
            base, environment={**base.environment, "FAILS": str(self.folder / "fails")}
        )

    def approve(self) -> str:
        """Let the change be proposed and approved; return its commit."""
        put = self.shop.propose()
        self.shop.carry_out(self.shop.sign())
        return put.commit

    def control(self, lease_seconds: float = 60.0) -> None:
        """Start the controller."""
        told = {"SELFDRIVE_DATABASE_URL": self.url, "LEASE": str(lease_seconds)}
        self.controller = self._program("controller", **told)

    def come(self) -> None:
        """Let visitors come."""
        self.visitors = self._program("crowd", PORT=str(self.port))

    def _program(self, name: str, **more: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join((str(ROOT / "tests"), str(ROOT)))
        environ = environment(self.folder, SELFDRIVE_HOME=str(self.home), **more)
        environ |= {"PYTHONPATH": path, "SELFDRIVE_PRODUCT": str(self.repository.path)}
        with (self.folder / f"{name}.said").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, *HERE, name], env=environ, stdout=said, stderr=said
            )

    def said(self, name: str = "controller") -> str:
        """Return what a program said."""
        return (self.folder / f"{name}.said").read_text()

    @property
    def change(self) -> Change:
        change = self.shop.changes.get(found.CHANGE)
        assert change is not None
        return change

    def until(self, *states: State, seconds: float = 180.0) -> float:
        """Wait until the change is in one of these states; return the seconds."""
        begun = time.monotonic()
        while self.change.state not in states:
            assert time.monotonic() - begun < seconds, self.said()
            time.sleep(0.2)
        return time.monotonic() - begun

    def kill_everything(self) -> int:
        """Kill -9: controller, front, Traefik, products, PostgreSQL. Return how many."""
        servers = self.servers()
        own = [psutil.Process(one.pid) for one in (self.controller, self.process) if one]
        victims = {one.pid: one for one in (*own, *self.processes(), *servers)}
        for victim in victims.values():
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
        for one in (self.controller, self.process):
            if one:
                one.wait(10)
        if self.process and self.process.stdin:
            self.process.stdin.close()
        return len(victims)

    def servers(self) -> list[psutil.Process]:
        """Return PostgreSQL's processes."""
        self.engine.dispose()
        return [one for one in psutil.process_iter() if is_below(one, self.postgres)]

    def kill_database(self) -> None:
        """Kill -9 PostgreSQL alone."""
        for one in self.servers():
            kill_hard(one)

    def start_database(self) -> None:
        """Start it again."""
        self.stack.close()
        self.url = self.stack.enter_context(open_database(self.postgres))

    def start_again(self) -> None:
        """Start what was killed, the database first."""
        self.start_database()
        self.start()
        self.control()

    def close(self) -> None:
        """End all of it."""
        for one in (self.controller, self.visitors):
            if one:
                one.kill()
                one.wait(10)
        super().close()
        self.shop.workshop.close()
        self.engine.dispose()
        self.stack.close()


def is_below(process: psutil.Process, folder: Path) -> bool:
    """Say whether a process works in a folder, as PostgreSQL's do in their data."""
    try:
        return process.cwd().startswith(str(folder))
    except psutil.Error:
        return False


def controller() -> None:
    """Look twice a second, as the loop's own program does each second."""
    from selfdrive_dagster.adapters.controller import Controller, opened

    with opened() as stores:
        actuator = TraefikActuator(stores.home, lease_seconds=float(os.environ["LEASE"]))
        one = Controller(stores, actuator, f"test:{os.getpid()}", datetime.now(UTC), PLAN)
        while True:
            for line in one.tick(datetime.now(UTC)):
                print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)
            time.sleep(0.4)


def crowd(port: int, threads: int = 3) -> None:
    """Visit: each visitor three times, then the next one."""

    def visit() -> None:
        while True:
            visitor: Any = Visitor(port)
            for _ in range(3):
                visitor.visit()
            time.sleep(0.02)

    for _ in range(threads):
        threading.Thread(target=visit, daemon=True).start()
    signal.pause()


if __name__ == "__main__":
    if sys.argv[1] == "controller":
        controller()
    crowd(int(os.environ["PORT"]))
