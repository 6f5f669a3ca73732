"""How a command ends: exit codes, and errors in the user's words instead of tracebacks."""

import os
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text
from typer.exceptions import TyperException

from selfdrive_dagster.cli.render import clean
from selfdrive_dagster.errors import SelfdriveError

INTERRUPTED = 130
BROKEN_PIPE = 141
OUR_FAULT = 70
NO_REPRODUCER = 10
NO_PATCH = 11

EXIT_CODES = (
    (0, "done"),
    (1, "an error, told on stderr"),
    (2, "a file, option or setting that we cannot read"),
    (3, "refused, nothing was run: no full sandbox, a rule, or a need is missing"),
    (4, "a program or package is not installed"),
    (5, "a port, a lock or the database is in use"),
    (NO_REPRODUCER, "repair, improve: nothing reproduces it, so no patch can be proven"),
    (NO_PATCH, "repair, improve: reproduced, but no patch held"),
    (OUR_FAULT, "a fault of Selfdrive itself: please report it"),
    (INTERRUPTED, "stopped with Ctrl-C"),
)


def epilog() -> str:
    """Return the exit codes for `--help`, a line each."""
    return "[bold]Exit codes[/bold]\n" + "\n".join(
        f"[cyan]{code:>3}[/cyan]  {meaning}" for code, meaning in EXIT_CODES
    )


def run_to_its_end(run: Callable[[], Any], *, debug: Callable[[], bool]) -> int:
    """Run a command, tell its error on stderr, and return the exit code."""
    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:
        return leave_quietly()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        # The edge of the program: whatever arrives here becomes a sentence, or with --debug
        # the traceback it would have been.
        if debug():
            raise
        if not comes_of_ctrl_c(error):
            return tell(error)
        code = INTERRUPTED
    code = code if isinstance(code, int) else 0
    if code == INTERRUPTED:
        Console(stderr=True).print("Stopped.")
    return code


def comes_of_ctrl_c(error: BaseException | None) -> bool:
    """Say whether an error arose while Ctrl-C was answered: a library made it one of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def tell(error: Exception) -> int:
    """Print an error on stderr and return its exit code."""
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "selfdrive"
        say(error.format_message(), remedy=f"{command} --help shows what can be typed")
        return error.exit_code
    if isinstance(error, SelfdriveError):
        say(error.message, remedy=error.remedy)
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        say(f"The system refused: {error.strerror}{where}.", remedy="see to it and run again")
        return 1
    say(
        f"Selfdrive itself failed: {type(error).__name__}: {error}",
        remedy="run the same with --debug before the command and report what it prints",
    )
    return OUR_FAULT


def say(message: str, *, remedy: str = "") -> None:
    """Print a message and its remedy on stderr; the text may hold strangers' words."""
    console = Console(stderr=True)
    console.print(Text("Error: ", style="bold red") + Text(clean(message)), soft_wrap=True)
    if remedy:
        console.print(Text("Remedy: ", style="bold") + Text(clean(remedy)), soft_wrap=True)


def leave_quietly() -> int:
    """Nobody reads on: make the interpreter's last flush quiet too, and return the code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
