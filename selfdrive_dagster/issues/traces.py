"""Traces: what one fingerprint looks like, told by the earliest crash that had it.

A fingerprint is a key: it says equal or not. A trace keeps what can be compared: the functions near
the raise and the text of their lines. Belongs here: reading a crash so. Does not belong: how alike
two traces are (`align`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

import msgspec

from selfdrive_dagster.issues.fingerprint import Fingerprint, Grouping, is_group, name_of
from selfdrive_dagster.issues.frames import is_in_app, site_of, telling
from selfdrive_dagster.model import Crash, Frame, RaisedException

DEPTH = 12
"""Steps of a trace that are compared, nearest the raise first."""

LINE = 200


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One function on the way to the raise: `module`, `function`, and the text of its line."""

    module: str
    function: str
    line: str = ""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One fingerprint's exemplar. `steps` run from the raise outwards; () tells nothing.

    `fingerprint` is the id that the fingerprint alone would give the issue, `type` that of the root
    cause, `in_app` says whether the steps are the product's own.
    """

    fingerprint: str
    first_seen: datetime
    event_id: str
    type: str
    template: str
    in_app: bool
    steps: tuple[Step, ...]


def trace_of(
    crash: Crash, named: Fingerprint, at: datetime, grouping: Grouping | None = None
) -> Trace:
    """Return what a crash shows of its fingerprint."""
    source = (grouping or Grouping()).source
    frames = _frames(crash)
    own = [frame for frame in frames if is_in_app(frame, source)]
    cause = next((each for each in crash.exceptions if each.frames), crash.raised)
    return Trace(
        fingerprint=named.issue_id,
        first_seen=at,
        event_id=crash.event_id,
        type=name_of(cause),
        template=named.template,
        in_app=bool(own),
        steps=() if named.rule == "custom" else _steps(own or frames, source),
    )


def _frames(crash: Crash) -> list[Frame]:
    """Return the joined stack. Of a group it is that of its members if they are one, else ()."""
    members = [each for each in crash.exceptions if not is_group(name_of(each))]
    is_whole = len(members) == len(crash.exceptions)
    if is_whole or all(_led_to(one, other) for one, other in pairwise(members)):
        return [frame for each in reversed(members) for frame in each.frames]
    kinds = {(name_of(each), *_places(each)[-1:]) for each in members}
    return list(members[0].frames) if len(kinds) == 1 else []


def _led_to(one: RaisedException, other: RaisedException) -> bool:
    """Say whether `other` was raised by a function that `one` came through: it handled it."""
    return set(_places(other)[-1:]) <= set(_places(one))


def _places(each: RaisedException) -> list[tuple[str, str]]:
    return [(frame.path, frame.function) for frame in each.frames]


def _steps(frames: Iterable[Frame], source: Sequence[str]) -> tuple[Step, ...]:
    """Return each function once, nearest the raise first."""
    steps: dict[tuple[str, str], Step] = {}
    for frame in reversed(telling(frames, source)):
        site = site_of(frame, source)
        line = " ".join(frame.source.split())[:LINE]
        step = Step(module=site.module, function=site.function, line=line)
        steps.setdefault((site.module, site.function), step)
    return tuple(steps.values())[:DEPTH]


def earliest(traces: Iterable[Trace]) -> tuple[Trace, ...]:
    """Return one trace of each fingerprint, the one seen first, in that order."""
    ordered = sorted(traces, key=lambda each: (each.first_seen, each.event_id))
    found: dict[str, Trace] = {}
    for trace in ordered:
        found.setdefault(trace.fingerprint, trace)
    return tuple(found.values())


def shared_raisers(traces: Iterable[Trace], callers: int) -> frozenset[tuple[str, str]]:
    """Return the functions that raise for everybody: those with as many different callers."""
    calls = {(each.steps[0], each.steps[1]) for each in traces if len(each.steps) > 1}
    pairs = {((a.module, a.function), (b.module, b.function)) for a, b in calls}
    counted = Counter(raiser for raiser, _ in pairs)
    return frozenset(raiser for raiser, times in counted.items() if times >= callers)
