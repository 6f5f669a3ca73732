"""`selfdrive backtest FILE…`: what the loop would have seen and tried, had it run then.

Replays exceptions; what only numbers over hours tell (slow routes, leaks, funnels) needs the
warehouse and is not replayed. Nothing is stored, nothing is sent, no database is needed.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfdrive_dagster.cli.issues import settings_of
from selfdrive_dagster.cli.render import AsJson, emit, progress
from selfdrive_dagster.config import Settings, open_home
from selfdrive_dagster.errors import BadInput, Refused

if TYPE_CHECKING:  # what a try needs is imported only when something is tried
    from selfdrive_dagster.cli.backtest.reading import History
    from selfdrive_dagster.cli.backtest.record import Backtest
    from selfdrive_dagster.cli.backtest.trying import Try
    from selfdrive_dagster.issues.replay import Replay
    from selfdrive_dagster.model import Progress, Sandbox

NEVER = datetime.max.replace(tzinfo=UTC)

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE…",
        help="Sentry events or envelopes, OTLP JSON lines, logs; also folders, and patterns in "
        "quotes ('logs/**/*.log').",
    ),
]
Repo = Annotated[
    Path | None,
    typer.Option(
        "--repo",
        help="The product: also try to reproduce, in a sandbox, what would have been tried. Each "
        "on the commit that its release names, else on HEAD.",
    ),
]
Most = Annotated[int, typer.Option("--max", min=1, help="With --repo: try at most so many.")]
Seconds = Annotated[
    float, typer.Option("--seconds", min=1, help="With --repo: begin no try after this long.")
]


def backtest(
    files: Files,
    repo: Repo = None,
    most: Most = 20,
    seconds: Seconds = 900.0,
    as_json: AsJson = False,
) -> int:
    """Replay history: which issues would have been known and tried when, and which reproduce."""
    settings = settings_of(repo)
    with progress("Reading telemetry") as say:
        made = run(files, repo, settings, most=most, seconds=seconds, say=say)
    from selfdrive_dagster.cli.backtest.show import show

    emit(made, lambda console: show(made, console), as_json=as_json)
    return code_of(made)


def code_of(made: "Backtest") -> int:
    """Return the exit code: 3 where nothing could be run, 2 where a named file was not read."""
    from selfdrive_dagster.cli.backtest.trying import NO_SANDBOX

    if made.tries and all(each.says.startswith(NO_SANDBOX) for each in made.tries):
        print("Remedy: selfdrive doctor names what the sandbox lacks", file=sys.stderr)
        return Refused.exit_code
    return BadInput.exit_code if any(each.is_named for each in made.unread) else 0


def run(
    files: list[Path],
    repo: Path | None,
    settings: Settings,
    *,
    most: int,
    seconds: float,
    say: "Progress",
    sandbox: "Sandbox | None" = None,
) -> "Backtest":
    """Read, replay and, where a repository is named, try; `sandbox` stands in for bubblewrap."""
    from selfdrive_dagster.cli.backtest.reading import read_history
    from selfdrive_dagster.cli.backtest.record import Backtest
    from selfdrive_dagster.issues import TriageSettings
    from selfdrive_dagster.issues.replay import replay

    history = read_history(files, settings, say, keeps_crashes=repo is not None)
    limits = TriageSettings(protected=settings.autonomy.protected)
    past = replay(history.events, limits, say)
    tries = None
    if repo is not None:
        tries = try_past(past, history, repo, settings, sandbox, most, seconds, say)
    return Backtest(
        files=history.files,
        events=past.events,
        undated=history.undated,
        begin=past.begin,
        end=past.end,
        issues=past.issues,
        tries=tries,
        most_open=settings.autonomy.max_open_changes,
        unread=history.unread,
    )


def try_past(
    past: "Replay",
    history: "History",
    repo: Path,
    settings: Settings,
    sandbox: "Sandbox | None",
    most: int,
    seconds: float,
    say: "Progress",
) -> "tuple[Try, ...]":
    """Try what would have been tried, in that order."""
    from selfdrive_dagster.adapters.sandbox import BwrapSandbox
    from selfdrive_dagster.cli.backtest.reading import telling_crash
    from selfdrive_dagster.cli.backtest.trying import Wanted, try_all

    wanted = [
        Wanted(
            issue_id=each.issue.issue_id,
            change_id=each.tried.change_id,
            crash=telling_crash(
                history.events, history.crashes, each.issue.issue_id, each.tried.at
            ),
        )
        for each in sorted(past.issues, key=lambda one: one.tried.at if one.tried else NEVER)
        if each.tried is not None
    ]
    say("Probing the sandbox")
    box = sandbox or BwrapSandbox(open_home(os.environ) / "sandbox")
    return try_all(wanted, repo, settings, box, most=most, seconds=seconds, progress=say)
