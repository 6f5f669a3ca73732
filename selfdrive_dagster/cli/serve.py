"""`selfdrive serve`: the front before a product's users, until Ctrl-C.

It keeps the front's own process running, and watches the lease as well: a front that hangs must
not keep a canary in traffic.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.doctor.loop import port_problem
from selfdrive_dagster.cli.render import AsJson, Repo, clean, progress
from selfdrive_dagster.cli.up import ignore_signals, leave_well
from selfdrive_dagster.config import FILE_NAME, Settings, load, open_home
from selfdrive_dagster.errors import BadInput, Busy, Refused, SelfdriveError
from selfdrive_dagster.model import Progress

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.front import FrontPlan
    from selfdrive_dagster.adapters.processes import Crew
    from selfdrive_dagster.adapters.traefik import TraefikActuator

READY_SECONDS = 120.0
EARLIER_SECONDS = 4.0
LOOK_SECONDS = 0.5
LATE = timedelta(seconds=2)
"""How long after its end the front itself may take to act on a lease."""


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """The product is served. `seconds` from the call until now; `stable` is the commit.

    `kill_switch` is the file whose mere presence returns all traffic to stable.
    """

    ready: bool = True
    address: str
    stable: str
    home: str
    logs: str
    kill_switch: str
    pid: int
    seconds: float


def serve(
    repo: Repo = Path(),
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            help="The commit to serve as stable; else what was served, else the branch.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the product behind Traefik, so that a change can be tried on a share of sessions."""
    begun = time.monotonic()
    settings = load(repo)
    require_run(settings)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave_well)
    home = open_home(os.environ).resolve()
    with ExitStack() as stack:
        with progress("Starting") as say:
            plan, crew, actuator = stack.enter_context(
                running(home, repo.resolve(), settings, revision, say)
            )
        tell(plan, actuator, time.monotonic() - begun, as_json=as_json)
        with progress("Serving") as say:
            watch(crew, actuator, say)


def require_run(settings: Settings) -> None:
    """Raise BadInput when nobody said how the product starts."""
    if not settings.rollout.run:
        raise BadInput(
            f"{settings.path or FILE_NAME} does not say how the product is started.",
            remedy='set [rollout] run, like "python -m shop --port {port}"',
        )


@contextmanager
def running(
    home: Path, repo: Path, settings: Settings, revision: str | None, say: Progress
) -> Iterator[tuple["FrontPlan", "Crew", "TraefikActuator"]]:
    """Start the front and give it, ready; stop it with all that it started."""
    from selfdrive_dagster.adapters.front import FrontPlan, service
    from selfdrive_dagster.adapters.git.folders import sweep
    from selfdrive_dagster.adapters.processes import Crew, end_all, held
    from selfdrive_dagster.adapters.traefik import TraefikActuator
    from selfdrive_dagster.adapters.traefik.program import program

    program()  # a missing one is told before anything starts
    actuator = TraefikActuator(home)
    folder = actuator.files.folder
    actuator.files.make()
    with held(folder, "selfdrive serve"):
        for place in (folder, folder / "served"):
            end_all(place, patience_seconds=EARLIER_SECONDS)
        if problem := port_problem(*settings.rollout.address()):
            raise Busy(f"{problem}.", remedy="stop who holds it, or change [rollout] listen")
        plan = FrontPlan.of(home, repo, settings, chosen(repo, settings, revision))
        if revision:
            serve_revision(actuator, plan.stable)
        crew = Crew(folder, say)
        try:
            crew.start(service(plan, os.environ))
            crew.wait_ready(["front"], READY_SECONDS)
            yield plan, crew, actuator
        finally:
            ignore_signals()
            say("stopping")
            crew.stop("front")
            sweep()  # a front that had to be killed removed nothing


def chosen(repo: Path, settings: Settings, revision: str | None) -> str:
    """Return the commit to serve when nothing is served yet."""
    from selfdrive_dagster.adapters.git import GitRepository

    repository = GitRepository(repo)
    name = revision or settings.service.branch or repository.default_branch() or "HEAD"
    return repository.revision(name)


def serve_revision(actuator: "TraefikActuator", stable: str) -> None:
    """Want another stable. Raises Refused while a change is on trial."""
    wanted = actuator.read().wanted
    if wanted.canary:
        raise Refused(
            f"{wanted.change_id} is on trial beside {wanted.stable[:12]}.",
            remedy=f"wait for its end, or selfdrive rollback {wanted.change_id}",
        )
    if wanted.stable != stable:
        actuator.stage(generation=wanted.generation, stable=stable)


def tell(plan: "FrontPlan", actuator: "TraefikActuator", seconds: float, *, as_json: bool) -> None:
    """Say that the product is served, and where."""
    serving = Serving(
        address=plan.address,
        stable=actuator.read().wanted.stable,
        home=plan.home,
        logs=str(actuator.files.folder / "served" / "logs"),
        kill_switch=str(actuator.files.kill_switch),
        pid=os.getpid(),
        seconds=round(seconds, 1),
    )
    if as_json:
        print(msgspec.json.encode(serving).decode(), flush=True)
        return
    console = Console()
    for name, value in (
        ("Product", serving.address),
        ("Stable", serving.stable),
        ("Logs", serving.logs),
        ("Kill switch", f"touch {serving.kill_switch}"),
    ):
        console.print(Text(f"{name:<12}", style="bold") + Text(clean(value)), soft_wrap=True)
    console.print(f"ready after {serving.seconds} s; Ctrl-C stops it.")
    sys.stdout.flush()


def watch(crew: "Crew", actuator: "TraefikActuator", say: Progress) -> NoReturn:
    """Keep the front running, and the lease in its place, until a signal."""
    while True:
        for name in crew.mend():
            say(f"{name} had ended and was started again")
        if why := overdue(actuator):
            say(f"back to stable: {why}")
        time.sleep(LOOK_SECONDS)


def overdue(actuator: "TraefikActuator") -> str:
    """Return to stable what the front should have by now, and say why; "" when it did."""
    from selfdrive_dagster.adapters.traefik.actuator import utc_now
    from selfdrive_dagster.rollout.traffic import Cause, must_return

    try:
        why = must_return(actuator.read().wanted, utc_now() - LATE, killed=False)
    except SelfdriveError as error:
        why = Cause.FAULT, str(error)
    if why is None:
        return ""
    cause, reason = why
    try:
        actuator.to_stable(f"{reason}, and the front did not act on it", cause)
    except OSError as fault:  # a full disk must not end what serves everybody
        return f"not possible now, tried again at once: {fault.strerror}"
    return reason
