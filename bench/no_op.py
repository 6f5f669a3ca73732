"""A change that changes nothing, tried in the running demo: how often it is rolled back.

`python bench/no_op.py [--runs 20] [--seed 1] [--out FILE]`

The demonstration's shop with all its defects: `selfdrive up` with receiver and batches, `selfdrive
serve` with Traefik, visitors, and the controller's own process, by the demonstration's plan. The
loop itself stops at issues, so that no repair is tried meanwhile. Each run has visitors of a seed
of its own and one canary: the stable commit and a line in a file that nothing reads. It stands for
a change of an issue that the visitors meet, and one that is promoted is the next run's stable.

Printed are ending, seconds from the signature, sessions per arm, and the highest e-value of any
guardrail against "no worse", after whichever window. Exit code 1 when more than one run in twenty
was rolled back, or fewer than half were promoted.
"""

import argparse
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from no_op_change import NoOps  # noqa: E402

from selfdrive_dagster.adapters.canary import WindowStore  # noqa: E402
from selfdrive_dagster.adapters.changes import Change  # noqa: E402
from selfdrive_dagster.adapters.postgres import connect, open_database  # noqa: E402
from selfdrive_dagster.adapters.traefik import TraefikActuator  # noqa: E402
from selfdrive_dagster.cli.demo.theatre import DRIVE_RATE, Theatre, end  # noqa: E402
from selfdrive_dagster.rollout.canary import DEMO_PLAN, Arms, Window, judge  # noqa: E402
from selfdrive_dagster.rollout.lifecycle import State  # noqa: E402

TRAFFIC = ROOT / "examples" / "shop" / "traffic.py"
LOOK_SECONDS = 1.0
RANKING_SECONDS = 10.0
CALM_SECONDS = 40.0
"""The ranking has not changed for so long: what the visitors can meet is known."""
WARM_UP_SECONDS = 300.0
LONGEST_SECONDS = 330.0
"""More than a stage may take before it is held, and what comes before and after it."""
BACK_SECONDS = 60.0

WAYS = {State.PROMOTED: "promoted", State.ROLLED_BACK: "rolled back", State.LEARNED: "rolled back"}
"""How a run ends by itself; nothing but a rollback leads to LEARNED in its time."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How one run ended. `because` is the move that led back, "" where none did.

    `harm` is the highest e-value of a guardrail, `rail` which one; `stage` counts from 1.
    """

    seed: int
    ending: str
    because: str
    stage: int
    seconds: float
    canary: int
    stable: int
    harm: float
    rail: str
    change_id: str
    issue_id: str


class Stage(NamedTuple):
    """What is up for all runs."""

    theatre: Theatre
    no_ops: NoOps
    actuator: TraefikActuator
    home: Path


@contextmanager
def raised() -> Iterator[Stage]:
    """Raise the demonstration, with a controller beside the loop; leave nothing behind."""
    with Theatre(ROOT, None, observe=True, drive=True) as theatre, ExitStack() as stack:
        theatre.open(lambda says: print(says, flush=True), visitors=False)
        home = theatre.folder / "home"
        url = stack.enter_context(open_database(home))
        engine = connect(url)
        stack.callback(engine.dispose)
        told = {"SELFDRIVE_HOME": str(home), "SELFDRIVE_PRODUCT": str(theatre.repo)}
        command = [sys.executable, "-P", "-m", "selfdrive_dagster.adapters.controller"]
        log = theatre.folder / "controller.log"
        stack.enter_context(started(command, log, {**told, "SELFDRIVE_DATABASE_URL": url}))
        yield Stage(theatre, NoOps(theatre, engine), TraefikActuator(home), home)


@contextmanager
def started(
    command: list[str], log: Path, environ: Mapping[str, str] = {}
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program in a process group of its own; end all of it with the block."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


@contextmanager
def visitors(stage: Stage, seed: int) -> Iterator[None]:
    """Let the demonstration's visitors come, as a seed fixes them, until the block ends."""
    command = [sys.executable, str(TRAFFIC), "--url", stage.theatre.shop, "--seed", str(seed)]
    command += ["--seconds", "3600", "--rate", str(DRIVE_RATE)]
    with started(command, stage.theatre.folder / "visitors.log"):
        yield


def known_issues(stage: Stage) -> tuple[str, ...]:
    """Return the issues that visitors meet, once the ranking is calm."""
    begun = news = time.monotonic()
    known: tuple[str, ...] = ()
    while time.monotonic() - begun < WARM_UP_SECONDS:
        found = tuple(sorted(issue["issue_id"] for issue in stage.theatre.issues()))
        if found != known:
            known, news = found, time.monotonic()
        if known and time.monotonic() - news > CALM_SECONDS:
            break
        time.sleep(RANKING_SECONDS)
    if not known:
        sys.exit(f"No visitor met an issue within {WARM_UP_SECONDS:.0f} s.")
    print(f"{len(known)} issues are known after {time.monotonic() - begun:.0f} s", flush=True)
    return known


def one_run(stage: Stage, seed: int, issue_id: str) -> Run:
    """Try one no-op on the visitors that are there, and see how that ends."""
    change = stage.no_ops.propose(issue_id, f"seed {seed}")
    begun = time.monotonic()
    stage.no_ops.approve(change)
    ended = followed(stage, change, begun)
    seconds = time.monotonic() - begun
    ending = WAYS.get(ended.state, "held")
    if ended.state is State.PROMOTED:
        wait_for_stable(stage, stage.no_ops.commit(change))
        stage.no_ops.close(change)
    elif ending == "held":
        send_back(stage, ended)
    windows = WindowStore(stage.home, change).read()
    exposed = sum((one.exposed for one in windows), start=Arms())
    harm, rail = highest(windows)
    return Run(
        seed=seed,
        ending=ending,
        because=stage.no_ops.why_back(change) if ending == "rolled back" else "",
        stage=ended.stage,
        seconds=round(seconds, 1),
        canary=exposed.canary,
        stable=exposed.stable,
        harm=harm,
        rail=rail,
        change_id=change,
        issue_id=issue_id,
    )


def followed(stage: Stage, change_id: str, begun: float) -> Change:
    """Look until a change has ended its way, or its time is over; return it as it is then."""
    while True:
        change = stage.no_ops.change(change_id)
        if change.state in WAYS or time.monotonic() - begun > LONGEST_SECONDS:
            return change
        time.sleep(LOOK_SECONDS)


def wait_for_stable(stage: Stage, commit: str) -> None:
    """Wait until everybody is served a commit."""
    until = time.monotonic() + BACK_SECONDS
    while time.monotonic() < until:
        seen = stage.actuator.read().seen
        if seen is not None and seen.stable == commit and seen.stable_healthy and not seen.canary:
            return
        time.sleep(LOOK_SECONDS)
    sys.exit(f"The front does not serve {commit[:12]} alone.")


def send_back(stage: Stage, change: Change) -> None:
    """End a run that does not end by itself, as `selfdrive rollback` does."""
    stage.actuator.to_stable("this run has had its time")
    until = time.monotonic() + BACK_SECONDS
    while time.monotonic() < until:
        if stage.no_ops.change(change.change_id).state in WAYS:
            return
        time.sleep(LOOK_SECONDS)
    told = (stage.theatre.folder / "controller.log").read_text(encoding="utf-8", errors="replace")
    sys.exit(f"{change.change_id} stays {change.state.value}; the controller says:\n{told[-2000:]}")


def highest(windows: tuple[Window, ...]) -> tuple[float, str]:
    """Return the highest e-value against "no worse" that any window led to, and of what.

    An e-process begins at 1: that is the highest where the canary never looked worse.
    """
    found = [(0.0, "nothing")]
    for count in range(1, len(windows) + 1):
        seen = windows[:count]
        judged = judge(seen, DEMO_PLAN.stages[0], DEMO_PLAN, seen[-1].start)
        found += [(one.log_harm, one.name) for one in judged.readings if one.log_harm > 0]
    log_harm, rail = max(found)
    return round(math.exp(log_harm), 2), rail


def tell(run: Run, number: int) -> None:
    """Print a run."""
    ending = f"{run.ending}, {run.because}" if run.because else run.ending
    print(
        f"{number:>3}{run.seed:>7}  {ending:<24}{run.stage:>5}{run.seconds:>9.1f}{run.canary:>8}"
        f"{run.stable:>8}{run.harm:>9.2f} {run.rail:<12} load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def try_all(runs: int, seed: int) -> list[Run]:
    """Raise the demonstration and let the runs follow one another."""
    done: list[Run] = []
    with raised() as stage:
        with visitors(stage, seed):
            known = known_issues(stage)
        print(f"{'run':>3}{'seed':>7}  {'ending':<24}{'stage':>5}{'seconds':>9}{'canary':>8}"
              f"{'stable':>8}{'highest e-value':>17}", flush=True)  # fmt: skip
        for number in range(runs):
            free = [one for one in known if one not in stage.no_ops.taken()] or list(known)
            with visitors(stage, seed + number):
                done.append(one_run(stage, seed + number, free[number % len(free)]))
            tell(done[-1], number + 1)
    return done


def main() -> int:
    """Try and print; 1 when no-ops are rolled back too often, or too few get through."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; others follow it")
    parser.add_argument("--out", type=Path, help="JSON file of the runs")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"{datetime.now(UTC):%FT%TZ} {chosen.runs} runs, seeds from {chosen.seed}", flush=True)
    begun = time.monotonic()
    try:
        done = try_all(chosen.runs, chosen.seed)
    except KeyboardInterrupt:
        return 130
    if chosen.out is not None:
        chosen.out.write_bytes(msgspec.json.format(msgspec.json.encode(done), indent=1))
    counts = {name: sum(one.ending == name for one in done) for name in (*WAYS.values(), "held")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    limit = DEMO_PLAN.harm_threshold
    print(f"{told} of {len(done)} in {time.monotonic() - begun:.0f} s; harm begins at {limit:g}")
    too_often = counts["rolled back"] * 20 > len(done)
    return 1 if too_often or counts["promoted"] * 2 < len(done) else 0


if __name__ == "__main__":
    sys.exit(main())
