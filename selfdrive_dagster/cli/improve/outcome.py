"""`selfdrive improve --outcome`: what later telemetry tells of an effect that was stated.

Belongs here: reading the file and saying it. Does not belong: judging (`patches.improve.effects`).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.markup import escape

from selfdrive_dagster.cli.render import clean, emit
from selfdrive_dagster.config import home_path
from selfdrive_dagster.errors import BadInput

if TYPE_CHECKING:
    from selfdrive_dagster.patches.improve import Effect

WORDS = {
    "came_true": "It came true.",
    "did_not": "It did not come true: look at the change again.",
    "unknown": "Too little was seen to know.",
}


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """An effect and the signal of a release; `value` is None where no request told it."""

    signal: str
    subject: str
    version: str
    before: float
    expected_at_most: float
    value: float | None
    seen: int
    outcome: str


def look_up(path: Path, version: str, *, as_json: bool) -> int:
    """Read the effect of an earlier run and say what a release tells of it."""
    from selfdrive_dagster.adapters.warehouse import Warehouse
    from selfdrive_dagster.adapters.warehouse.slowness import signal_of
    from selfdrive_dagster.patches.improve import came_true

    if not version:
        raise BadInput("Name the release to look at.", remedy="--version, as service.version is")
    effect = effect_of(path)
    value, seen = signal_of(Warehouse(home_path(os.environ)), effect, version)
    looked = Looked(
        signal=effect.signal,
        subject=effect.subject,
        version=version,
        before=effect.before,
        expected_at_most=effect.high,
        value=value,
        seen=seen,
        outcome=came_true(effect, value, seen).value,
    )
    now = "nothing" if value is None else f"{value:,.0f} {effect.unit}"
    says = (
        f"{looked.signal} of {looked.subject}: {effect.before:,.0f} {effect.unit} before, at most "
        f"{effect.high:,.0f} expected, {now} over {seen} requests of {version}. "
        f"{WORDS[looked.outcome]}"
    )
    emit(looked, lambda console: console.print(escape(clean(says)), soft_wrap=True),
         as_json=as_json)  # fmt: skip
    return 0


def effect_of(path: Path) -> "Effect":
    """Return the effect that a run stated. Raises BadInput where there is none."""
    from selfdrive_dagster.patches.improve import Effect

    class Stated(msgspec.Struct):
        effect: Effect | None = None

    try:
        stated = msgspec.json.decode(path.read_bytes(), type=Stated).effect
    except (OSError, msgspec.DecodeError) as fault:
        raise BadInput(
            f"{path} cannot be read: {fault}.",
            remedy="give what `selfdrive improve --json` printed",
        ) from fault
    if stated is None:
        raise BadInput(f"{path} states no effect.", remedy="only runs on an issue state one")
    return stated
