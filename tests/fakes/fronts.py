"""A real front before a tiny real product: a repository, a home, Traefik, and its visitors."""

import http.client
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
from fakes.loops import free_port
from fakes.made_repository import MadeRepository
from fakes.selfdrive_program import environment

from selfdrive_dagster.adapters.front import FrontPlan
from selfdrive_dagster.adapters.processes import leftovers
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.rollout.traffic import Seen, Traffic

PRODUCT = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: no waiting for acknowledgements
    def do_GET(self):
        {behaviour}
        body = (os.environ["RELEASE"] + " " + str(os.getpid())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if "visit=" not in self.headers.get("Cookie", ""):
            self.send_header("Set-Cookie", "visit=" + os.urandom(8).hex())
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SOUND = "pass"
DIES = "os._exit(3) if self.path != '/health' else None"
SICKENS = (
    "Handler.sick = getattr(Handler, 'sick', False) or self.path == '/sicken'\n"
    "        if Handler.sick and self.path == '/health': return self.send_error(500)"
)
DIES_AT_ONCE = "os._exit(3)"


class Visitor:
    """One browser: keeps cookies, and says which commit and process answered it."""

    def __init__(self, port: int, cookies: dict[str, str] | None = None) -> None:
        self._port = port
        self.cookies = dict(cookies or {})
        self.status = 0

    def visit(self, path: str = "/") -> str:
        """Return the commit that answered, "" when none did."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request("GET", path, headers={"Cookie": sent} if sent else {})
            answer = connection.getresponse()
            body = answer.read().decode()
        except OSError:
            return ""
        finally:
            connection.close()
        self.status = answer.status
        for header in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = header.partition(";")[0].partition("=")
            self.cookies[name] = value
        return body.split()[0] if answer.status == 200 else ""


class MadeFront:
    """A front on a home of its own; its processes end with `close`."""

    def __init__(self, folder: Path, lease_seconds: float = 60.0) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self.repository = MadeRepository(folder / "product")
        self.port = free_port()
        self.stable = self.commit(SOUND)
        self.actuator = TraefikActuator(self.home, lease_seconds=lease_seconds)
        self.files = self.actuator.files
        self.process: subprocess.Popen[bytes] | None = None

    def commit(self, behaviour: str) -> str:
        """Commit a revision of the product that behaves so."""
        return self.repository.commit("change", app__py=PRODUCT.format(behaviour=behaviour))

    @property
    def plan(self) -> FrontPlan:
        return FrontPlan(
            home=str(self.home),
            repo=str(self.repository.path),
            run=("python", "app.py", "{port}"),
            environment={"RELEASE": "{revision}"},
            listen=f"127.0.0.1:{self.port}",
            health="/health",
            python=sys.executable,
            stable=self.stable,
        )

    def start(self) -> None:
        """Start the front and wait until it serves."""
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "selfdrive_dagster.adapters.front"],
                env=environment(self.folder),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
            )
        self.process.stdin.write(msgspec.json.encode(self.plan) + b"\n")
        self.process.stdin.flush()
        self.wait(lambda: Visitor(self.port).visit(), 20)

    def kill(self) -> None:
        """Kill the front itself, with -9."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def close(self) -> None:
        """Stop the front, and see that it leaves nothing."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout) if self.process else ():
            if pipe:
                pipe.close()
        self.wait(lambda: not self.processes(), 10)

    def processes(self) -> tuple[psutil.Process, ...]:
        return leftovers(self.files.folder / "served")

    def named(self, name: str) -> psutil.Process:
        """Return the process of a part (not its guardian): "traefik", "canary-…", "stable-…"."""
        for process in self.processes():
            try:
                part = process.environ().get("SELFDRIVE_LOOP_PART", "")
                if part.startswith(name) and "guardian.py" not in " ".join(process.cmdline()):
                    return process
            except psutil.Error:
                continue  # it ended while we looked
        raise AssertionError(f"no process of {name}")

    def stage(self, change_id: str, canary: str) -> Traffic:
        """Put a canary beside a fresh stable and wait until both are healthy."""
        generation = self.actuator.read().wanted.generation
        staged = self.actuator.stage(
            generation=generation, stable=self.stable, change_id=change_id, canary=canary
        )
        self.wait_seen(
            lambda seen: (
                seen.change_id == change_id
                and seen.canary == canary
                and bool(seen.stable_healthy and seen.canary_healthy)
            )
        )
        return staged

    def set(self, share: float) -> Traffic:
        """Want a share, and wait until the proxy itself tells it."""
        traffic = self.actuator.set(share, self.actuator.read().wanted.generation)
        self.wait_seen(lambda seen: seen.share is not None and abs(seen.share - share) < 1e-6)
        return traffic

    def wait_seen(self, true: Callable[[Seen], bool], seconds: float = 20.0) -> float:
        """Wait until what is seen is so; return the seconds that it took."""
        return self.wait(lambda: (seen := self.actuator.read().seen) and true(seen), seconds)

    def wait(self, true: Callable[[], object], seconds: float = 10.0) -> float:
        begun = time.monotonic()
        while not true():
            said = self.folder / "said"
            told = said.read_text() if said.exists() else ""
            assert time.monotonic() - begun < seconds, f"it did not come about: {told}"
            time.sleep(0.02)
        return time.monotonic() - begun

    def crowd(self, count: int) -> list[Visitor]:
        """Return so many new visitors, each with its first visit made."""
        visitors = [Visitor(self.port) for _ in range(count)]
        for visitor in visitors:
            visitor.visit()
        return visitors

    def answers(self, visitors: list[Visitor]) -> Counter[str]:
        """Return which commits answer these visitors now."""
        return Counter(visitor.visit() for visitor in visitors)


def kill_hard(process: psutil.Process) -> None:
    """Kill -9."""
    os.kill(process.pid, 9)
