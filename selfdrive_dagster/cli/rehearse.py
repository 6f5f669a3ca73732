"""`selfdrive rehearse`: a stand-in for Anthropic's API on this machine, to try it for nothing.

The script says what it answers and which faults it makes. It is no model: without a script it
answers that it has no draft.
"""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from selfdrive_dagster.errors import Busy

PORT = 8019


def rehearse(
    script: Annotated[
        Path | None, typer.Option("--script", help="A TOML file of replies; see docs/claude.md.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Append each request to this file, as JSON.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any.")] = PORT,
) -> None:
    """Play Anthropic's API until Ctrl-C, with scripted answers and faults. Nothing leaves."""
    from selfdrive_dagster.adapters.claude.standin import Script, read_script, serving

    known = read_script(script) if script else Script()
    try:
        with serving(known, port=port, tell=keeping(keep)) as server:
            typer.echo(f"export ANTHROPIC_BASE_URL={server.url}")
            typer.echo("export ANTHROPIC_API_KEY=rehearsal")
            signal.pause()
    except OSError as fault:
        raise Busy(
            f"Port {port} cannot be listened at: {fault.strerror}.", remedy="--port 0"
        ) from fault


def keeping(path: Path | None) -> Callable[[dict[str, Any]], None]:
    """Return what keeps a request's body: a line of a file that only we may read, or nothing."""
    if path is None:
        return lambda _body: None
    path.touch(mode=0o600)

    def keep(body: dict[str, Any]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(body) + "\n")

    return keep
