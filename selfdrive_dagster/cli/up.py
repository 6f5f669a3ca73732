"""`selfdrive up`: run the loop on this machine until Ctrl-C, and leave nothing behind.

The order is the point: hold the home, see that ports are free, open the database, then start
what reads and writes; stop in reverse, telemetry first and the database last.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.text import Text

import selfdrive_dagster
from selfdrive_dagster.cli.doctor.loop import port_problem
from selfdrive_dagster.cli.render import AsJson, Repo, clean, progress
from selfdrive_dagster.config import (
    FILE_NAME,
    KILL_SWITCH,
    Settings,
    home_path,
    load,
    not_acted_on,
    open_home,
)
from selfdrive_dagster.errors import BadInput, Busy
from selfdrive_dagster.model import Progress, SandboxLevel

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.loop import Plan
    from selfdrive_dagster.adapters.processes import Crew

READY_SECONDS = 120.0
EARLIER_SECONDS = 2.0
"""How long processes of a killed loop get to end by themselves; to kill them loses nothing."""
LOOK_SECONDS = 1.0
TELL_SECONDS = 5.0


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The loop runs: where to look and where to send. `seconds` from the call until now.

    `forwards_to` gets unredacted envelopes; `not_acted_on` are settings without effect yet.
    `why` says what keeps it from proposing, "" when nothing does or --observe was asked for.
    """

    ready: bool = True
    ui: str
    dsn: str
    otlp: str
    home: str
    logs: str
    pid: int
    observe: bool
    forwards_to: str
    not_acted_on: tuple[str, ...]
    why: str
    failed_runs: tuple[str, ...]
    seconds: float


def up(
    repo: Repo = Path(),
    observe: Annotated[
        bool, typer.Option("--observe", help="Stop at issues: open no change.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65_535, help="The port of the Dagster UI.")
    ] = 3000,
    app: Annotated[
        Path | None,
        typer.Option("--app", help="The folder that holds assets/ and sql/.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the loop here: database, receiver, Dagster's web server and daemon, on loopback."""
    begun = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave_well)
    settings = load(repo)
    chosen = find_app(app)
    warn(settings, home_path(os.environ))
    why = why_only_observe(settings)
    observe = observe or bool(why)
    home = open_home(os.environ).resolve()
    with ExitStack() as stack:
        with progress("Starting") as say:
            plan = stack.enter_context(
                prepared(home, repo.resolve(), chosen, settings, port, observe, say)
            )
            crew, failed = stack.enter_context(running(plan, say))
        tell(plan, failed, time.monotonic() - begun, why, as_json=as_json)
        with progress("Running") as say:
            watch(plan, crew, say)


def warn(settings: Settings, home: Path) -> None:
    """Say before anything starts what settings or home do that their owner may not expect."""
    if os.path.lexists(stop := home / KILL_SWITCH):
        told = f"The kill switch is thrown: no change is tried on users until you rm {stop}"
        print(clean(told), file=sys.stderr, flush=True)
    if place := settings.telemetry.forwards_to():
        told = f"[telemetry] forward: Sentry envelopes go on, unredacted, to {place}"
        print(clean(told), file=sys.stderr, flush=True)
    if waiting := not_acted_on(settings):
        told = f"{FILE_NAME}: read but not acted on yet: {', '.join(waiting)}"
        print(clean(told), file=sys.stderr, flush=True)


def why_only_observe(settings: Settings) -> str:
    """Say why the loop must stop at issues here, "" when it may go on to proposals."""
    if settings.autonomy.level in ("L0", "L1"):
        return f"[autonomy] level is {settings.autonomy.level}; L2 proposes"
    from selfdrive_dagster.adapters.sandbox import BwrapSandbox

    findings = BwrapSandbox(open_home(os.environ) / "sandbox").findings()
    if findings.level is SandboxLevel.FULL:
        return ""
    return f"the sandbox is {findings.level.value} ({findings.missing}); mend: {findings.remedy}"


@contextmanager
def prepared(
    home: Path, repo: Path, app: Path, settings: Settings, port: int, observe: bool, say: Progress
) -> Iterator["Plan"]:
    """Hold the home, check the ports and open the database, until the block ends."""
    from selfdrive_dagster.adapters.loop import Plan
    from selfdrive_dagster.adapters.postgres import open_database
    from selfdrive_dagster.adapters.postgres.server import socket_folder
    from selfdrive_dagster.adapters.processes import end_all, held

    with held(home):
        end_all(home, patience_seconds=EARLIER_SECONDS)
        require_ports(settings, port)
        say("starting the database")
        named = os.environ.get("SELFDRIVE_DATABASE_URL")
        with open_database(home, named, progress=say) as url:
            yield Plan(
                home=home,
                repo=repo,
                app=app,
                run=socket_folder(home / "run"),
                settings=settings,
                url=url,
                ui_port=port,
                observe=observe,
                environ=os.environ,
            )


@contextmanager
def running(plan: "Plan", say: Progress) -> Iterator[tuple["Crew", tuple[str, ...]]]:
    """Start the services and give them, ready, with the runs that an earlier boot left.

    Dagster's storage is opened by `boot` alone before anything else opens it: two first
    openings race in its migrations. The daemon asks a code server that is not there yet again
    only after a minute.
    """
    from selfdrive_dagster.adapters import loop
    from selfdrive_dagster.adapters.processes import Crew

    crew = Crew(plan.home, say)
    try:
        plan.write_workspace()
        crew.start(loop.receiver(plan))
        say("preparing Dagster")
        failed = loop.boot(plan)
        crew.start(loop.code_server(plan))
        crew.wait_ready((loop.RECEIVER, loop.CODE), READY_SECONDS)
        crew.start(loop.webserver(plan))
        crew.start(loop.daemon(plan))
        crew.wait_ready((loop.WEBSERVER, loop.DAEMON), READY_SECONDS)
        if plan.drives:
            crew.start(loop.controller(plan))
        yield crew, failed
    finally:
        ignore_signals()  # a second Ctrl-C must not cut the stopping short
        with progress("Stopping") as say:
            stop(plan, crew, say)


def stop(plan: "Plan", crew: "Crew", say: Progress) -> None:
    """Stop the services in order; runs in flight are canceled while the database is there."""
    from selfdrive_dagster.adapters import loop
    from selfdrive_dagster.adapters.git.folders import sweep
    from selfdrive_dagster.adapters.webserver import Webserver

    say("stopping: receiver")
    crew.stop(loop.RECEIVER, loop.CONTROLLER)
    say("stopping: daemon")
    crew.stop(loop.DAEMON)
    say("stopping: runs in flight, web server, database")
    Webserver(plan.ui_port).cancel_runs()  # what cannot be told now, the next boot fails
    crew.stop(loop.WEBSERVER, loop.CODE)
    sweep()  # a run that had to be killed removed nothing


def watch(plan: "Plan", crew: "Crew", say: Progress) -> NoReturn:
    """Keep everything running, and show what passes, until a signal or a hopeless service."""
    from selfdrive_dagster.adapters.loop import mend_database

    told = float("-inf")
    while True:
        for name in (*mend_database(plan, say), *crew.mend()):
            say(f"{name} had ended and was started again: see {plan.home / 'logs'}")
        if sys.stderr.isatty() and time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            say(status(plan))
        time.sleep(LOOK_SECONDS)


def status(plan: "Plan") -> str:
    """Return one line on what passes."""
    from selfdrive_dagster.adapters.loop import telemetry_counts
    from selfdrive_dagster.adapters.webserver import Webserver

    counts = telemetry_counts(plan)
    runs = Webserver(plan.ui_port).unfinished_runs()
    passed = "telemetry: no answer"
    if counts is not None:
        passed = ", ".join(f"{counts[name]} {name}" for name in COUNTS)
    return f"{passed} · runs in flight: {'?' if runs is None else len(runs)} · Ctrl-C stops"


COUNTS = ("received", "stored", "duplicate", "rejected")


def tell(plan: "Plan", failed: tuple[str, ...], seconds: float, why: str, *, as_json: bool) -> None:
    """Say that the loop is ready, and the addresses."""
    receiver = plan.receiver_url
    ready = Ready(
        ui=f"http://127.0.0.1:{plan.ui_port}",
        dsn=receiver.replace("://", "://public@", 1) + "/1",
        otlp=receiver,
        home=str(plan.home),
        logs=str(plan.home / "logs"),
        pid=os.getpid(),
        observe=plan.observe,
        forwards_to=plan.settings.telemetry.forwards_to(),
        not_acted_on=not_acted_on(plan.settings),
        why=why,
        failed_runs=failed,
        seconds=round(seconds, 1),
    )
    if as_json:
        print(msgspec.json.encode(ready).decode(), flush=True)
        return
    console = Console()
    for name, value in (
        ("Dagster UI", ready.ui),
        ("Sentry DSN", ready.dsn),
        ("OTLP/HTTP", f"{ready.otlp}  (OTEL_EXPORTER_OTLP_ENDPOINT)"),
        ("Logs", ready.logs),
    ):
        console.print(Text(f"{name:<12}", style="bold") + Text(clean(value)), soft_wrap=True)
    if failed:
        console.print(f"{len(failed)} unfinished runs of an earlier boot were failed.")
    if ready.why:
        console.print(Text(f"It stops at issues: {clean(ready.why)}."), soft_wrap=True)
    until = "up to issues" if ready.observe else "up to proposals"
    until = "through rollouts" if plan.drives else until
    console.print(f"ready after {ready.seconds} s: the loop runs {until}; Ctrl-C stops it.")
    sys.stdout.flush()


def find_app(app: Path | None, working: Callable[[], Path] = Path.cwd) -> Path:
    """Return the folder of the app: the one named, the checkout around us, or where we stand."""
    from selfdrive_dagster.adapters.loop import DEFINITIONS

    checkout = Path(selfdrive_dagster.__file__).resolve().parent.parent
    places = [app.absolute()] if app else [checkout, working()]
    found = next((place for place in places if (place / DEFINITIONS).is_file()), None)
    if found is None:
        looked = " nor in ".join(map(str, places))
        raise BadInput(
            f"There is no {DEFINITIONS} in {looked}.",
            remedy="name the folder that holds assets/ and sql/ with --app",
        )
    return found.resolve()


def require_ports(settings: Settings, port: int) -> None:
    """Raise Busy when a port that the loop needs is taken; tells of all at once."""
    receiver = settings.telemetry.address()
    needs = (
        (receiver, "the receiver", "set [telemetry] listen to another port"),
        (("127.0.0.1", port), "the Dagster UI", "choose another with --port"),
    )
    taken = [
        (f"{problem}; {who} needs it.", remedy)
        for place, who, remedy in needs
        if (problem := port_problem(*place))
    ]
    if taken:
        remedies = ", ".join(remedy for _, remedy in taken)
        raise Busy(" ".join(what for what, _ in taken), remedy=f"stop who holds it, or {remedies}")


def leave_well(_number: int, _frame: FrameType | None) -> None:
    """End as asked: for a program that runs until it is stopped, that is success."""
    raise SystemExit(0)


def ignore_signals() -> None:
    """Let nothing interrupt what follows."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
