"""The stage of the demo: a folder with the shop's repository and a home, and the processes.

Everything lives below one temporary folder and one process group each; leaving the theatre
stops all of it and removes the folder.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.text import Text

from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.model import Progress

TRAFFIC_SECONDS = 45
TRAFFIC_RATE = 25
DRIVE_SECONDS = 1500
DRIVE_RATE = 48
"""While changes are tried on them visitors stay, and there are more of them."""

APPROVER = "mira@shop.example"
REASON = "The diff is what its lookalikes do, and every check passed."

ROLLOUT = """
[patches]
generators = ["builtin", "drafts"]

[rollout]
actuator = "traefik"
run = "python -m shop --port {{port}}"
environment = {{SHOP_RELEASE = "{{revision}}", SHOP_DATABASE = "{database}"}}
health = "/health"
listen = "127.0.0.1:{port}"
session_cookie = "shop_session"
plan = "demo"
"""

READY_SECONDS = 150.0
STOP_SECONDS = 20.0


class Theatre:
    """The demo's folder and processes; a context manager.

    `drive` serves the shop through the front; `only` names the seeded defects, () for all.
    """

    def __init__(
        self,
        app: Path,
        defect: Path | None,
        *,
        observe: bool,
        drive: bool = False,
        only: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._defect = defect
        self._observe = observe
        self._drive = drive
        self._only = only
        self.signed: set[str] = set()
        self._silent: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()
        self._stack.callback(self._no_more)
        self.folder = Path(tempfile.mkdtemp(prefix="selfdrive-demo-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.ready: dict[str, Any] = {}
        self.shop = ""
        self._traffic: subprocess.Popen[bytes] | None = None
        self._opened = time.monotonic()

    def __enter__(self) -> "Theatre":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _no_more(self) -> None:
        self.ready = {}

    @property
    def has_own_defect(self) -> bool:
        """Say whether the user brought a patch that breaks the shop."""
        return self._defect is not None

    @property
    def drives(self) -> bool:
        """Say whether what is approved here is rolled out."""
        return self._drive

    @property
    def ui(self) -> str:
        """The address of the Dagster UI."""
        return str(self.ready.get("ui", ""))

    @property
    def traffic_is_over(self) -> bool:
        """Say whether the visitors have left."""
        return self._traffic is not None and self._traffic.poll() is not None

    @property
    def repo(self) -> Path:
        """The shop's repository."""
        return self.folder / "shop"

    def open(self, say: Progress, *, visitors: bool = True) -> None:
        """Make the shop, start the loop, the shop and, unless told otherwise, its visitors."""
        say("making half a year of the shop's history")
        self._make_repository()
        say("starting the loop: database, receiver, Dagster")
        self._start_loop()
        say("opening the shop and letting visitors in")
        self._start_shop()
        if visitors:
            self._let_visitors_in()

    @property
    def key(self) -> Path:
        """The demonstration's own key: it proves no person, and the approval says so."""
        return self.folder / "demo_key"

    def _make_repository(self) -> None:
        shop = self._app / "examples" / "shop"
        chosen = ["--defects", ",".join(self._only)] if self._only else []
        if self._defect:
            chosen = ["--defects", "", "--extra", str(self._defect)]
        done = subprocess.run(
            [sys.executable, str(shop / "make_history.py"), str(self.repo), *chosen],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BadInput(f"The shop's history cannot be made: {done.stderr.strip()}")
        if self._drive:
            self._prepare_to_drive()
        remote = self.folder / "remote.git"
        self._git("clone", "--quiet", "--bare", str(self.repo), str(remote))
        self._git("-C", str(self.repo), "remote", "add", "origin", str(remote))
        settings = self.repo / "selfdrive.toml"
        level = "L3" if self._drive else "L2"
        text = settings.read_text(encoding="utf-8")
        text = text.replace('repository = "."', 'repository = "origin"')
        listen = f'[telemetry]\nlisten = "127.0.0.1:{free_port()}"'
        text = text.replace("[telemetry]", listen)
        text = text.replace('level = "L2"', f'level = "{level}"\nmax_open_changes = 20')
        settings.write_text(text + (self._rollout() if self._drive else ""), encoding="utf-8")

    def _prepare_to_drive(self) -> None:
        """Make the demonstration's key, name it as who may approve, and hand a patch in."""
        ask_quietly("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", APPROVER, "-f", self.key)
        public = self.key.with_suffix(".pub").read_text(encoding="ascii")
        signers = self.repo / ".selfdrive" / "allowed_signers"
        signers.parent.mkdir(exist_ok=True)
        signers.write_text(f"{APPROVER} {public}", encoding="ascii")
        self._git("-C", str(self.repo), "add", "-f", ".selfdrive/allowed_signers")
        owner = ("-c", "user.name=Mira Lindqvist", "-c", "user.email=mira@shop.example")
        words = "Say whose key approves"
        self._git("-C", str(self.repo), *owner, "commit", "--quiet", "-m", words)
        drafts = self.folder / "home" / "drafts"
        drafts.mkdir(parents=True, mode=0o700)
        drafts.parent.chmod(0o700)
        for patch in (self._app / "examples" / "shop" / "drafts").glob("*.patch"):
            shutil.copy(patch, drafts)

    def _rollout(self) -> str:
        """Return the settings of a shop that Selfdrive serves."""
        return ROLLOUT.format(port=free_port(), database=self.folder / "shop.db")

    def _start_loop(self) -> None:
        observe = ["--observe"] if self._observe else []
        command = [*SELFDRIVE, "up", str(self.repo), "--json", "--port", str(free_port())]
        log = self._stack.enter_context((self.folder / "up.log").open("wb"))
        process = self._start([*command, *observe], {}, log, stdout=subprocess.PIPE)
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and process.stdout is not None:
            line = process.stdout.readline()
            if line.startswith(b"{"):
                self.ready = json.loads(line)
                return
            if not line and process.poll() is not None:
                break
        told = (self.folder / "up.log").read_text(encoding="utf-8", errors="replace")
        raise SelfdriveError(f"The loop did not start:\n{told[-2000:]}")

    def _start_shop(self) -> None:
        port = free_port()
        head = self._git("-C", str(self.repo), "rev-parse", "HEAD").strip()
        environ = {
            "SHOP_RELEASE": head,
            "SENTRY_DSN": self.ready["dsn"],
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.ready["otlp"],
            "OTEL_SERVICE_NAME": "shop",
        }
        log = self._stack.enter_context((self.folder / "shop.log").open("wb"))
        if self._drive:
            self._serve(environ, log)
            return
        self._start([sys.executable, "-m", "shop", "--port", str(port)], environ, log, self.repo)
        wait_for_port(port)
        self.shop = f"http://127.0.0.1:{port}"

    def _serve(self, environ: Mapping[str, str], log: Any) -> None:
        """Let the front serve the shop: Traefik, and the revisions behind it."""
        command = [*SELFDRIVE, "serve", str(self.repo), "--json"]
        process = self._start(command, environ, log, stdout=subprocess.PIPE)
        line = process.stdout.readline() if process.stdout else b""
        if not line.startswith(b"{"):
            told = (self.folder / "shop.log").read_text(encoding="utf-8", errors="replace")
            raise SelfdriveError(f"The shop was not served:\n{told[-2000:]}")
        self.shop = str(json.loads(line)["address"])

    def approve(self, change_id: str) -> str:
        """Sign a change with the demonstration's key; return "" or why it could not be."""
        done = subprocess.run(
            [*SELFDRIVE, "approve", change_id, "--json", "--reason", REASON,
             "--key", str(self.key), "--as", APPROVER, "--repo", str(self.repo)],
            cwd=self.repo, env=self._environ(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return "" if done.returncode == 0 else (done.stderr or done.stdout).strip()

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "SELFDRIVE_HOME": str(self.folder / "home")}

    def _let_visitors_in(self) -> None:
        log = self._stack.enter_context((self.folder / "visitors.log").open("wb"))
        visits = self._stack.enter_context((self.folder / "traffic.json").open("wb"))
        traffic = [sys.executable, str(self._app / "examples" / "shop" / "traffic.py")]
        seconds, rate = (
            (DRIVE_SECONDS, DRIVE_RATE) if self._drive else (TRAFFIC_SECONDS, TRAFFIC_RATE)
        )
        traffic += ["--url", self.shop, "--seconds", str(seconds), "--rate", str(rate), "--json"]
        self._traffic = self._start(traffic, {}, log, stdout=visits)

    def _start(
        self,
        command: list[str],
        environ: Mapping[str, str],
        log: Any,
        cwd: Path | None = None,
        stdout: Any = None,
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=cwd or self.folder,
            env={**self._environ(), **environ},
            stdin=subprocess.DEVNULL,
            stdout=stdout or log,
            stderr=log,
            start_new_session=True,
        )
        self._stack.callback(end, process)
        return process

    def issues(self) -> list[dict[str, Any]]:
        """Return the ranking, as the command prints it."""
        return list(self.ask("issues", "--json") or [])

    def changes(self) -> list[dict[str, Any]]:
        """Return the board of changes, as the command prints it."""
        return [] if self._observe else list(self.ask("changes", "--all", "--json") or [])

    def begin_failing_tests(self) -> subprocess.Popen[bytes]:
        """Begin to repair from the suite's failing tests, once, beside what else goes on."""
        if self._silent is None:
            log = self._stack.enter_context((self.folder / "repair.log").open("wb"))
            told = self._stack.enter_context((self.folder / "repair.json").open("wb"))
            command = [*SELFDRIVE, "repair", str(self.repo), "--failing-tests", "--json"]
            self._silent = self._start(command, {}, log, stdout=told)
        return self._silent

    def repair_failing_tests(self) -> dict[str, Any]:
        """Return what the repair command made of the suite's failing tests."""
        self.begin_failing_tests().wait()
        told = (self.folder / "repair.json").read_bytes()
        return dict(json.loads(told)) if told.strip() else {}

    def ask(self, *arguments: str) -> Any:
        """Run one of our commands in the shop; None when it has nothing to say yet."""
        done = subprocess.run(
            [*SELFDRIVE, *arguments],
            cwd=self.repo,
            env=self._environ(),
            capture_output=True,
            check=False,
        )
        return json.loads(done.stdout) if done.stdout.strip() else None

    def telling(self) -> str:
        """Say in a few words what goes on."""
        seconds = time.monotonic() - self._opened
        crowd = "visitors have left" if self.traffic_is_over else "visitors are in the shop"
        return f"{seconds:.0f} s, {crowd}"

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SelfdriveError(f"git {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def stay(self, console: Console) -> None:
        """Leave everything up until Ctrl-C."""
        console.print(
            Text(f"Everything stays up. Dagster: {self.ui}  Home: {self.folder / 'home'}")
        )
        console.print(Text("Ctrl-C ends it and leaves nothing behind."))
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            console.print(Text("Closing."))


SELFDRIVE = (sys.executable, "-m", "selfdrive_dagster")


def ask_quietly(*command: str | Path) -> None:
    """Run a program that has nothing to say. Raises SelfdriveError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SelfdriveError(f"{command[0]} failed: {done.stderr.strip()}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, then end its whole group."""
    if process.poll() is None:
        process.terminate()  # not SIGINT: what a script starts in the background ignores that
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # it had its time
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all of the group is gone
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until somebody listens. Raises SelfdriveError after the time limit."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SelfdriveError("The shop did not open.", remedy="see shop.log with --keep")
