"""The labelled set: what became of each bug's traces, by the list of telemetry.md §3.

Awaited, grouped and chained traces, and those of other tests, were run for real (`grouping_bugs`);
the rest are edits of what the SDK sent. Each bug stands in one setting: the product's own code,
code in which no frame is the product's, a minified bundle, or behind one function that raises for
everybody. The label is the bug. Which half a bug is in is told by its name alone.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from copy import deepcopy

import msgspec
from grouping_bugs import Bug
from grouping_traces import (
    Event,
    decorated,
    deeper,
    ends,
    installed,
    mangled,
    moved,
    raised_by_all,
    renamed,
    root,
    shifted,
    values,
)

DEVELOPMENT, HELD_OUT = "development", "held out"
OWN, FOREIGN, MINIFIED, RAISER = "own code", "no in-app frame", "minified", "shared raiser"
SETTINGS = (OWN,) * 12 + (FOREIGN,) * 3 + (MINIFIED,) * 2 + (RAISER,) * 3
WORDS = ("north", "amber", "lot 7", "x-31", "blue.green", "Ümit", "42")


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the set: its bug, what was done to it, and in which setting it stands."""

    bug: str
    case: str
    setting: str
    event: Event


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of one bug: called at once, by other callers, by other tests; a like message.

    `twin` is what another bug of the same type says, None where there is none.
    """

    called: Event
    ways: dict[str, Event]
    others: list[Event]
    twin: str | None


Made = Iterator[tuple[str, Event]]


def half_of(bug: Bug) -> str:
    """Return the half a bug is in."""
    return (DEVELOPMENT, HELD_OUT)[number(bug.name, "half") % 2]


def setting_of(bug: Bug) -> str:
    """Return the setting a bug stands in."""
    return SETTINGS[number(bug.name, "setting") % len(SETTINGS)]


def number(*words: str) -> int:
    """Return a number that hangs on words alone."""
    return int.from_bytes(hashlib.sha256("|".join(words).encode()).digest()[:8])


def items(bugs: list[Bug]) -> Iterator[Item]:
    """Yield every event of the set, bug by bug."""
    for bug in bugs:
        setting, chance = setting_of(bug), random.Random(number(bug.name, "chance"))
        for case, event in CASES[setting](seen_of(bug, bugs), chance):
            yield Item(bug=bug.name, case=case, setting=setting, event=event)


def seen_of(bug: Bug, bugs: list[Bug]) -> Seen:
    """Gather what there is of a bug."""
    first = bug.told[0].test
    ways = {told.way: told.event for told in bug.told if told.test == first}
    kind = root(bug.told[0].event)["type"]
    others = [other.told[0].event for other in bugs if other is not bug]
    alike = [root(event)["value"] for event in others if root(event)["type"] == kind]
    return Seen(
        called=bug.told[0].event,
        ways={way: event for way, event in ways.items() if way != "called"},
        others=[told.event for told in bug.told if told.test != first],
        twin=alike[number(bug.name, "twin") % len(alike)] if alike else None,
    )


def own_code(seen: Seen, chance: random.Random) -> Made:
    """Yield what becomes of a bug in the product's own code."""
    event, (caller, raiser) = seen.called, ends(seen.called)
    yield "as seen", event
    yield "line shift", shifted(event, chance)
    yield "rename, raising function", renamed(event, raiser, chance)
    yield "rename, calling function", renamed(event, caller, chance)
    yield "rename, module", moved(event, raiser["module"])
    yield "decorator, raising function", decorated(event, raiser, chance)
    yield "decorator, calling function", decorated(event, caller, chance)
    yield "recursion depth", deeper(event, raiser, chance)
    yield "recursion depth", deeper(event, caller, chance)
    yield from messages(seen, chance)
    yield from seen.ways.items()
    for other in seen.others:
        yield "another way in", other


def foreign(seen: Seen, chance: random.Random) -> Made:
    """Yield what becomes of a bug where no frame is the product's."""
    event = seen.called
    yield "as seen", installed(event)
    yield "line shift", installed(shifted(event, chance))
    yield "recursion depth", installed(deeper(event, ends(event)[1], chance))
    for case, made in (*messages(seen, chance), *seen.ways.items()):
        yield case, installed(made)
    for other in seen.others:
        yield "another way in", installed(other)


def minified(seen: Seen, chance: random.Random) -> Made:
    """Yield what becomes of a bug in a bundle whose names change with each release."""
    for _ in range(3):
        yield "minified", mangled(seen.called, chance)
    yield "different message, same site", mangled(reworded(seen.called, chance), chance)
    yield "awaited", mangled(seen.ways.get("awaited", seen.called), chance)


def behind_raiser(seen: Seen, chance: random.Random) -> Made:
    """Yield what becomes of a bug that one function of everybody's raises."""
    event, (caller, raiser) = seen.called, ends(seen.called)
    yield "as seen", raised_by_all(event, chance)
    yield "line shift", raised_by_all(shifted(event, chance), chance)
    yield "rename, calling function", raised_by_all(renamed(event, caller, chance), chance)
    yield "decorator, calling function", raised_by_all(decorated(event, caller, chance), chance)
    yield "decorator, raising function", raised_by_all(decorated(event, raiser, chance), chance)
    yield "recursion depth", raised_by_all(deeper(event, raiser, chance), chance)
    if "awaited" in seen.ways:
        yield "awaited", raised_by_all(seen.ways["awaited"], chance)
    for other in seen.others:
        yield "another way in", raised_by_all(other, chance)


def messages(seen: Seen, chance: random.Random) -> Made:
    """Yield the event with other words, and with those of another bug."""
    yield "different message, same site", reworded(seen.called, chance)
    if seen.twin is not None:
        event = deepcopy(seen.called)
        root(event)["value"] = seen.twin
        yield "same message, different site", event


def reworded(event: Event, chance: random.Random) -> Event:
    """Let another visitor's data stand in the message."""
    event = deepcopy(event)
    for each in values(event):
        told = re.sub(r"[0-9]+", lambda _: str(chance.randint(0, 99999)), each["value"] or "")
        each["value"] = re.sub(r"'[^']*'", lambda _: f"'{chance.choice(WORDS)}'", told)
    return event


CASES: dict[str, Callable[[Seen, random.Random], Made]] = {
    OWN: own_code,
    FOREIGN: foreign,
    MINIFIED: minified,
    RAISER: behind_raiser,
}
