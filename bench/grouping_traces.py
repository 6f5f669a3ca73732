"""Edits of what the SDK sent: what a release, a decorator, a bundle or a helper does to a trace.

Each takes an event and returns another one. Belongs here: one edit each. Does not belong: which of
them a bug sees (`grouping_cases`).
"""

import random
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from selfdrive_dagster.model.product import is_test_path

Event = dict[str, Any]
NEW_NAMES = ("settle", "compute_all", "apply_rules", "resolve_item", "run_step", "gather_parts")
AROUND = ("wrapper", "timed", "with_retry", "inner", "call_guarded", "trace_it")
PRODUCT = "/srv/product"


def values(event: Event) -> list[Event]:
    """Return the exceptions of an event that have a stack, the root cause first."""
    return [each for each in event["exception"]["values"] if each.get("stacktrace")]


def root(event: Event) -> Event:
    """Return the root cause."""
    return values(event)[0]


def without(event: Event, module: str) -> Event:
    """Take the frames of a module off every stack: those of the bench are nobody's."""
    event = deepcopy(event)
    for each in values(event):
        frames = each["stacktrace"]["frames"]
        each["stacktrace"]["frames"] = [f for f in frames if f["module"] != module] or frames
    return event


def joined(event: Event) -> list[Event]:
    """Return the frames of a chain as one stack, outermost first: a root cause may have one."""
    return [f for each in reversed(values(event)) for f in each["stacktrace"]["frames"]]


def ends(event: Event) -> tuple[Event, Event]:
    """Return a frame of the function that calls the raising one, and the raising frame."""
    frames = joined(event)
    mine = [frame for frame in frames if frame.get("in_app")]
    kept = mine if len({(f["module"], f["function"]) for f in mine}) > 1 else frames
    callers = [frame for frame in kept if not is_same(frame, kept[-1])]
    return (callers or kept)[-1], kept[-1]


def all_frames(event: Event) -> Iterator[Event]:
    """Yield every frame of every exception."""
    for each in values(event):
        yield from each["stacktrace"]["frames"]


def shifted(event: Event, chance: random.Random) -> Event:
    """Move every line of every file."""
    event = deepcopy(event)
    by: dict[str, int] = {}
    for frame in all_frames(event):
        frame["lineno"] += by.setdefault(frame["filename"], chance.randint(1, 400))
    return event


def renamed(event: Event, target: Event, chance: random.Random) -> Event:
    """Rename a function, where it is defined and where it is called."""
    event, old = deepcopy(event), target["function"].rpartition(".")[2]
    new, word = chance.choice(NEW_NAMES), re.compile(rf"\b{re.escape(old)}\b")
    for frame in all_frames(event):
        if frame["function"].rpartition(".")[2] == old and frame["module"] == target["module"]:
            frame["function"] = frame["function"].removesuffix(old) + new
        frame["context_line"] = word.sub(new, frame.get("context_line") or "")
    return event


def moved(event: Event, module: str) -> Event:
    """Move a module elsewhere."""
    event = deepcopy(event)
    for frame in all_frames(event):
        if frame["module"] == module:
            place(frame, f"engine.{module}_parts")
    return event


def place(frame: Event, module: str) -> None:
    """Let a frame stand in a module of the product."""
    file = f"{module.replace('.', '/')}.py"
    frame.update(module=module, filename=file, abs_path=f"{PRODUCT}/{file}", in_app=True)


def decorated(event: Event, target: Event, chance: random.Random) -> Event:
    """Put a decorator's frame around a function, wherever it stands."""
    event = deepcopy(event)
    around = {**target, "function": chance.choice(AROUND), "lineno": 31}
    around["context_line"] = "        return function(*given, **named)"
    place(around, "tools.around")
    for each in values(event):
        frames = each["stacktrace"]["frames"]
        for at in reversed([n for n, frame in enumerate(frames) if is_same(frame, target)]):
            frames.insert(at, dict(around))
    return event


def deeper(event: Event, target: Event, chance: random.Random) -> Event:
    """Let a function stand on the stack many times, as if it had called itself."""
    event, times = deepcopy(event), chance.randint(2, 12)
    for each in values(event):
        frames = each["stacktrace"]["frames"]
        at = [n for n, frame in enumerate(frames) if is_same(frame, target)]
        if at:
            frames[at[0] : at[0]] = [dict(target) for _ in range(times)]
    return event


def is_same(frame: Event, other: Event) -> bool:
    """Say whether two frames stand in one function."""
    return (frame["module"], frame["function"]) == (other["module"], other["function"])


def installed(event: Event) -> Event:
    """Let no frame be the product's: the code is a library, its caller is not on the stack."""
    event = deepcopy(event)
    for each in values(event):
        kept = [f for f in each["stacktrace"]["frames"] if not is_of_caller(f)]
        each["stacktrace"]["frames"] = kept
        for frame in kept:
            if frame.get("in_app"):
                frame["abs_path"] = f"/usr/lib/python3.11/site-packages/{frame['filename']}"
            frame["in_app"] = False
    event["exception"]["values"] = [each for each in values(event) if each["stacktrace"]["frames"]]
    return event


def is_of_caller(frame: Event) -> bool:
    """Say whether a frame is the test's or the door's."""
    return bool(frame["filename"] == "front.py" or is_test_path(frame["filename"]))


def mangled(event: Event, chance: random.Random) -> Event:
    """Let a minifier name everything, anew in each release."""
    event, bundle = deepcopy(event), f"app.{chance.getrandbits(32):08x}.min.js"
    names: dict[tuple[str, str], str] = {}
    event["exception"]["values"] = [root(event)]
    for frame in all_frames(event):
        key = (frame["module"], frame["function"])
        frame["function"] = names.setdefault(key, chance.choice("abcdefghijklmnopqrstuvwxyz"))
        frame.update(module="", filename=bundle, abs_path=f"/static/{bundle}", in_app=True)
        frame.update(lineno=1, context_line="")
    return event


def raised_by_all(event: Event, chance: random.Random) -> Event:
    """Let one function of everybody's raise, with one type and one message."""
    event = deepcopy(event)
    first = root(event)
    first["stacktrace"]["frames"] = joined(event)
    event["exception"]["values"] = [first]
    first.update(type="Failure", module="common.errors")
    first["value"] = f"operation {chance.randint(1, 9999)} failed"
    # Nothing of the original error is left: its last line now calls the common function.
    frames = first["stacktrace"]["frames"]
    while len(frames) > 1 and not frames[-1].get("in_app"):
        frames.pop()
    frames[-1]["context_line"] = "        fail(code)"
    last = {**frames[-1], "function": "fail", "lineno": 12}
    last["context_line"] = "    raise Failure(code)"
    place(last, "common.errors")
    frames.append(last)
    return event
