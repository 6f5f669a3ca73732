"""The state of parameters that our hook tells beside an exception, put into the frames it is of.

OpenTelemetry has no variables. `selfdrive_dagster/hooks/state.py` adds them as one JSON text.
"""

from typing import Any

import msgspec

from selfdrive_dagster.model import Frame
from selfdrive_dagster.telemetry.arrivals import Arrival
from selfdrive_dagster.telemetry.bounds import mapping, sequence, text, whole

ATTRIBUTE = "selfdrive.state"
MAX_STATE_CHARS = 2**20
MAX_FRAMES = 50


def with_state(
    frames: tuple[Frame, ...], said: dict[str, Any], arrival: Arrival
) -> tuple[Frame, ...]:
    """Return the frames with the variables told for them: same file, line and function."""
    if not arrival.redactor.keeps_variables:
        return frames
    told = _told(text(said.get(ATTRIBUTE)), arrival)
    filled = []
    for frame in reversed(frames):
        name = frame.function.rpartition(".")[2]
        found = next((one for one in told if one[:2] == (frame.line, name)), None)
        if found is None or not found[2].endswith(frame.path):
            filled.append(frame)
            continue
        told = told[told.index(found) + 1 :]
        filled.append(msgspec.structs.replace(frame, variables=found[3]))
    return tuple(reversed(filled))


def _told(sent: str, arrival: Arrival) -> list[tuple[int, str, str, dict[str, Any]]]:
    """Return line, function, file and redacted variables, innermost first; [] if unreadable."""
    if not sent or len(sent) > MAX_STATE_CHARS:
        return []
    try:
        frames = sequence(mapping(msgspec.json.decode(sent)).get("frames"))[:MAX_FRAMES]
    except (msgspec.DecodeError, RecursionError):
        return []  # a stranger's text: the exception is kept, its variables stay unknown
    return [
        (
            whole(one.get("line")) or 0,
            text(one.get("function")),
            text(one.get("path")),
            mapping(arrival.redactor.value(mapping(one.get("vars")))),
        )
        for one in map(mapping, frames)
    ]
