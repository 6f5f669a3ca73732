"""A whole loop as a user runs it: `selfdrive up` as a process, on a home and ports of its own."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import psutil
from fakes.selfdrive_program import ROOT, environment

from selfdrive_dagster.adapters.processes import leftovers

APP = ROOT / "tests" / "cases" / "up" / "app"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Loop:
    """A product, a home and the processes that serve them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.product = folder / "product"
        (self.product / "shop").mkdir(parents=True)
        (self.product / "shop" / "__init__.py").write_text("")
        self.receiver_port, self.ui_port = free_port(), free_port()
        (self.product / "selfdrive.toml").write_text(
            f'[telemetry]\nlisten = "127.0.0.1:{self.receiver_port}"\n'
        )
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Call `selfdrive up` and come back at once."""
        command = [sys.executable, "-m", "selfdrive_dagster", "up", str(self.product), "--json"]
        with (self.folder / "said").open("w") as said:
            self.process = subprocess.Popen(
                [*command, "--app", str(APP), "--port", str(self.ui_port), *options],
                env=environment(self.folder, SELFDRIVE_HOME=str(self.home)),
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        return self.process

    def up(self, *options: str) -> dict[str, Any]:
        """Call `selfdrive up` and return what it says when it is ready."""
        line = self.start(*options).stdout.readline()
        assert line, (self.folder / "said").read_text()
        return json.loads(line)

    def down(self, number: int = signal.SIGINT) -> tuple[int, float]:
        """Stop it; return the exit code and the seconds that it took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process.stdout.close()
        return code, time.monotonic() - begun

    def processes(self) -> list[psutil.Process]:
        """Return all that belongs to the home: marked, named after it or standing in it."""
        found = {process.pid: process for process in leftovers(self.home)}
        for process in psutil.process_iter():
            try:
                mentions = str(self.home) in " ".join(process.cmdline())
                if mentions or process.cwd().startswith(str(self.home)):
                    found[process.pid] = process
            except psutil.Error:
                continue
        found.pop(os.getpid(), None)
        return list(found.values())

    def part(self, name: str) -> psutil.Process:
        """Return the process of one service, not its guardian."""
        for process in self.processes():
            try:
                known = process.environ().get("SELFDRIVE_LOOP_PART") == name
                if known and "-P" in process.cmdline():
                    return process
            except psutil.Error:
                continue  # it ended while we looked
        raise AssertionError(f"no process of {name}")

    def postmaster(self) -> psutil.Process:
        """Return the database's first process."""
        for process in self.processes():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue  # it ended while we looked
            if words and words[0].endswith("bin/postgres"):
                return process
        raise AssertionError("no postmaster")

    def wait_for_nobody(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while left := self.processes():
            assert time.monotonic() < deadline, [" ".join(p.cmdline())[:120] for p in left]
            time.sleep(0.1)

    def send_event(self) -> bool:
        """Send one Sentry event; True when it was acknowledged."""
        event = {"event_id": uuid.uuid4().hex, "platform": "python", "level": "error",
                 "exception": {"values": [{"type": "KeyError", "value": "x"}]}}  # fmt: skip
        body = json.dumps({"event_id": event["event_id"]}) + '\n{"type":"event"}\n'
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.receiver_port}/api/1/envelope/",
            (body + json.dumps(event)).encode(),
            {"Content-Type": "application/x-sentry-envelope"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stats(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.receiver_port}/stats") as answer:
            return json.load(answer)

    def runs(self, *statuses: str) -> list[dict[str, Any]]:
        """Return the runs with these statuses, as the web server tells."""
        query = """query($statuses: [RunStatus!]) { runsOrError(filter: {statuses: $statuses})
          { ... on Runs { results { runId status tags { key value } } } } }"""
        body = json.dumps({"query": query, "variables": {"statuses": statuses}}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ui_port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]["runsOrError"]["results"]

    def wait_for_run(self) -> dict[str, Any]:
        """Return the one run in flight, once its process works."""
        deadline = time.monotonic() + 120
        while True:
            try:
                if found := self.runs("STARTED"):
                    return found[0]
            except OSError:
                pass  # a connection to a database that has died: the next one is fresh
            assert time.monotonic() < deadline, "no run was started"
            time.sleep(0.3)


def modes_above(folder: Path) -> dict[str, int]:
    """Return the modes of a folder and all its parents."""
    return {str(p): stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.parents)}
