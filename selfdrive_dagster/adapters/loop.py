"""What a running loop consists of: receiver, code server, web server, daemon, as services.

Pure but for the readiness looks: a plan goes in, services come out. Nothing secret stands on a
command line; addresses and keys travel by environment or stdin. Starting and stopping does not
belong here (`processes`), nor what the code location holds (`assets/`).
"""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.handing import KEY_FILE, RECEIVED
from selfdrive_dagster.adapters.postgres.locks import Place, server_is_gone
from selfdrive_dagster.adapters.postgres.server import ensure_running
from selfdrive_dagster.adapters.postgres.urls import VARIABLE
from selfdrive_dagster.adapters.processes import Service, marked
from selfdrive_dagster.adapters.webserver import Webserver, answers
from selfdrive_dagster.config import Settings
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import Progress
from selfdrive_dagster.telemetry.arrivals import UNNAMED_SERVICE

DEFINITIONS = Path("assets") / "definitions.py"
LOCATION = "selfdrive"
DATABASE_SECONDS = 60.0
PYTHON = (sys.executable, "-P")
"""Without the current directory on the path: what lies in the home is data, not code."""

RECEIVER, CODE, WEBSERVER, DAEMON = "receiver", "code-server", "webserver", "daemon"
CONTROLLER = "controller"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A loop: its home, product and app (absolute), its settings and its database.

    `run` is a folder whose socket paths are short enough; `environ` what the user had.
    """

    home: Path
    repo: Path
    app: Path
    run: Path
    settings: Settings
    url: str
    ui_port: int
    observe: bool
    environ: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """Return the environment of every process of the loop."""
        kept = {name: text for name, text in self.environ.items() if name != "SELFDRIVE_OBSERVE"}
        return {
            **kept,
            "SELFDRIVE_HOME": str(self.home),
            "SELFDRIVE_PRODUCT": str(self.repo),
            "SELFDRIVE_DATABASE_URL": self.url,
            "DAGSTER_HOME": str(self.home / "dagster"),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            **({"SELFDRIVE_OBSERVE": "1"} if self.observe else {}),
        }

    @property
    def drives(self) -> bool:
        """Whether approved changes are rolled out from here."""
        return not self.observe and self.settings.drives()

    @property
    def receiver_url(self) -> str:
        """Where the receiver listens."""
        return f"http://{self.settings.telemetry.listen}"

    @property
    def code_socket(self) -> Path:
        """The code server's socket: whoever reaches it may start runs, so it is in the home."""
        return self.run / "code.sock"

    @property
    def workspace(self) -> Path:
        """The file that points web server and daemon at the one code server."""
        return self.home / "run" / "workspace.yaml"

    def write_workspace(self) -> None:
        """Write that file."""
        server = {"socket": str(self.code_socket), "location_name": LOCATION}
        self.workspace.write_bytes(msgspec.yaml.encode({"load_from": [{"grpc_server": server}]}))


def receiver(plan: Plan) -> Service:
    """Return the receiver. Its settings may hold a DSN, so they go through stdin."""
    host, port = plan.settings.telemetry.address()
    told = {
        "directory": str(plan.home / RECEIVED),
        "key_file": str(plan.home / KEY_FILE),
        "host": host,
        "port": port,
        "service_name": plan.settings.service.name or UNNAMED_SERVICE,
        "forward": plan.settings.telemetry.forward,
        "accept": plan.settings.telemetry.accept,
        "capture_arguments": plan.settings.telemetry.capture_arguments,
        "attributes": plan.settings.telemetry.attributes,
        "keep_attributes": plan.settings.telemetry.keep_attributes,
        "quota_per_minute": plan.settings.telemetry.quota_per_minute,
    }
    return Service(
        name=RECEIVER,
        command=(*PYTHON, "-m", "selfdrive_dagster.adapters.receiver", "-"),
        input=msgspec.json.encode(told).decode(),
        environ=plan.environment(),
        grace_seconds=6.0,
        is_ready=lambda: answers(f"{plan.receiver_url}/healthz"),
    )


def code_server(plan: Plan) -> Service:
    """Return the one code server, which also runs the runs.

    Without one, the daemon starts a server of its own every minute.
    """
    options = ("--socket", str(plan.code_socket), "--location-name", LOCATION)
    return Service(
        name=CODE,
        command=(
            *PYTHON, "-m", "selfdrive_dagster.orchestration.code_server", *options,
            "--python-file", str(plan.app / DEFINITIONS), "--working-directory", str(plan.app),
        ),
        environ=plan.environment(),
        grace_seconds=3.0,
        is_ready=lambda: accepts(plan.code_socket),
    )  # fmt: skip


def webserver(plan: Plan) -> Service:
    """Return Dagster's web server, on loopback: it knows no login."""
    address = ("-h", "127.0.0.1", "-p", str(plan.ui_port))
    workspace = ("-w", str(plan.workspace))
    return Service(
        name=WEBSERVER,
        command=(*PYTHON, "-m", "dagster_webserver", *address, *workspace),
        environ=plan.environment(),
        grace_seconds=3.0,
        is_ready=Webserver(plan.ui_port).serves,
    )


def daemon(plan: Plan) -> Service:
    """Return Dagster's daemon: sensors, schedules, the queue of runs."""
    begun = time.time()
    return Service(
        name=DAEMON,
        command=(*PYTHON, "-m", "dagster._daemon", "run", "-w", str(plan.workspace)),
        environ=plan.environment(),
        is_ready=lambda: Webserver(plan.ui_port).daemons_beat(begun),
    )


def controller(plan: Plan) -> Service:
    """Return the controller, which rolls approved changes out; it serves nobody."""
    return Service(
        name=CONTROLLER,
        command=(*PYTHON, "-m", "selfdrive_dagster.adapters.controller"),
        environ=plan.environment(),
        is_ready=lambda: True,
    )


def boot(plan: Plan) -> tuple[str, ...]:
    """Make Dagster's home ready; return the runs of an earlier boot that had to be failed.

    To be called while no other process of the loop has Dagster's storage open.
    """
    ran = subprocess.run(
        [*PYTHON, "-m", "selfdrive_dagster.orchestration.boot"],
        env=marked(plan.environment(), plan.home, "boot"),
        cwd=plan.home,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise SelfdriveError(
            f"Dagster's home could not be made ready:\n{ran.stderr.strip()[-2000:]}",
            remedy=f"mend what it names; Dagster's files are in {plan.home / 'dagster'}",
        )
    return tuple(msgspec.json.decode(ran.stdout.splitlines()[-1])["failed_runs"])


def accepts(path: Path) -> bool:
    """Say whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def mend_database(plan: Plan, progress: Progress) -> tuple[str, ...]:
    """Start the embedded PostgreSQL again if it has died; a real server is others' business."""
    place = Place(plan.home)
    if plan.environ.get(VARIABLE) or not server_is_gone(place):
        return ()
    ensure_running(place, progress, DATABASE_SECONDS)
    return ("postgres",)


def telemetry_counts(plan: Plan) -> dict[str, int] | None:
    """Return the receiver's counts of events, None when it does not answer."""
    try:
        with urllib.request.urlopen(f"{plan.receiver_url}/stats", timeout=2) as answer:  # noqa: S310
            return dict(msgspec.json.decode(answer.read()))
    except OSError:
        return None
