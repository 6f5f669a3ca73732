"""The command line: one file (or folder) per command, this table, and how a command ends.

A command parses its options, calls the library once and renders the answer. It returns its
exit code, or None for 0. Belongs here: words for users. Does not belong: any decision.
Heavy packages wait inside the functions that need them, so that every command starts at once.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup

from selfdrive_dagster import __version__
from selfdrive_dagster.cli import (
    amend,
    approve,
    audit,
    backtest,
    breaker,
    changes,
    demo,
    doctor,
    improve,
    ingest,
    init,
    issues,
    merging,
    pausing,
    rehearse,
    rejecting,
    repair,
    rollback,
    serve,
    showing,
    skipping,
    spend,
    up,
    usage,
)
from selfdrive_dagster.cli.endings import epilog, run_to_its_end


class Command(NamedTuple):
    """A row of the table: the name a user types, what runs, the panel of `--help`.

    `parts` are commands below it, by their names; what is none of them goes to `function`.
    """

    name: str
    function: Callable[..., Any]
    panel: str
    parts: tuple[tuple[str, Callable[..., Any]], ...] = ()


ITSELF = "list"
"""The name of a command itself among its parts."""


class WithParts(TyperGroup):
    """A command that also has parts: whatever names none of them is for the command itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Send everything to the command itself that does not begin with a part's name."""
        return super().parse_args(
            ctx, args if args[:1] and args[0] in self.commands else [ITSELF, *args]
        )


SET_UP = "Set up"
ALONE = "Useful alone"
LOOP = "The loop"

COMMANDS = (
    Command("init", init.init, SET_UP),
    Command("doctor", doctor.doctor, SET_UP),
    Command("repair", repair.repair, ALONE),
    Command("improve", improve.improve, ALONE),
    Command("issues", issues.issues, ALONE, merging.PARTS + skipping.PARTS),
    Command("issue", issues.issue, ALONE),
    Command("backtest", backtest.backtest, ALONE),
    Command("rehearse", rehearse.rehearse, ALONE),
    Command("up", up.up, LOOP),
    Command("usage", usage.usage, LOOP),
    Command("spend", spend.spend, LOOP),
    Command("ingest", ingest.ingest, LOOP),
    Command("changes", changes.changes, LOOP),
    Command("show", showing.show, LOOP),
    Command("approve", approve.approve, LOOP),
    Command("amend", amend.amend, LOOP),
    Command("reject", rejecting.reject, LOOP),
    Command("advance", approve.advance, LOOP),
    Command("pause", pausing.pause, LOOP),
    Command("resume", pausing.resume, LOOP),
    Command("serve", serve.serve, LOOP),
    Command("rollback", rollback.rollback, LOOP),
    Command("breaker", breaker.breaker, LOOP),
    Command("audit", audit.audit, LOOP),
    Command("demo", demo.demo, ALONE),
)


class Invocation:
    """What the options before the command chose, for the one that handles its errors."""

    def __init__(self) -> None:
        self.debug = False


def build_app(commands: Sequence[Command] = COMMANDS) -> typer.Typer:
    """Return the program with these commands."""
    app = typer.Typer(
        name="selfdrive",
        help="From what hurts users in production to a change that is proven to help.",
        epilog=epilog(),
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(options)
    for command in commands:
        if not command.parts:
            app.command(command.name, rich_help_panel=command.panel)(command.function)
            continue
        group = typer.Typer(cls=WithParts, help=command.function.__doc__)
        for name, function in ((ITSELF, command.function), *command.parts):
            group.command(name)(function)
        app.add_typer(group, name=command.name, rich_help_panel=command.panel)
    return app


def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Read what stands before the command's name."""
    context.obj.debug = debug
    if version:
        typer.echo(f"selfdrive {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code."""
    signal.signal(signal.SIGTERM, leave_in_order)
    app, invocation = build_app(), Invocation()

    def run() -> Any:
        return app(args=arguments, prog_name="selfdrive", standalone_mode=False, obj=invocation)

    sys.exit(run_to_its_end(run, debug=lambda: invocation.debug))


def leave_in_order(_number: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into an exception, so that temporary files and children are cleaned up."""
    raise SystemExit(128 + signal.SIGTERM)
