"""Fingerprints: which crashes are one issue.

The order is that of the reference (telemetry.md §3); the first rule that applies names the
issue:

    custom        a rule of the operator, never of the client (security.md T5)
    stack         type chain + in-app functions nearest the raise
    foreign       type chain + nearest functions of all + message template
    template      type + message template
    message       message template alone

Line numbers never count. A chain reads as one stack: an exception raised while another was
handled continues the frames of the first, so the list runs from the outermost call to the root
raise. Each function counts once, nearest the raise, so recursion depth does not matter.

A fingerprint is a key: never edit a published version, publish a new one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import msgspec

from selfdrive_dagster.issues.frames import (
    is_in_app,
    site_of,
    telling,
)
from selfdrive_dagster.issues.normalise import template
from selfdrive_dagster.model import Crash, Frame, RaisedException, digest, short_id

FINGERPRINT = "2026-11"
"""The version of this algorithm; part of every issue id."""

IN_APP_DEPTH = 8
FOREIGN_DEPTH = 5


class CustomRule(msgspec.Struct, frozen=True, kw_only=True):
    """One grouping rule of the operator: shell patterns that must all match, and the group."""

    group: str
    exception_type: str = "*"
    function: str = "*"
    message: str = "*"


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator says about grouping: source folders and custom rules, first match wins."""

    source: tuple[str, ...] = ()
    rules: tuple[CustomRule, ...] = ()


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """The name of an issue and all that led to it.

    `rule` is the first that applied. `sites` are the functions that count, outermost first.
    `stack` and `template_key` are 16 hex digits each, `stack` is None without usable frames:
    they are kept so that a later version can map its issues to these.
    """

    version: str
    rule: str
    issue_id: str
    types: tuple[str, ...]
    sites: tuple[str, ...]
    template: str
    stack: str | None
    template_key: str
    culprit: str


class _Reading(msgspec.Struct, frozen=True):
    """A crash as the rules see it."""

    types: tuple[str, ...]
    in_app: tuple[str, ...]
    everywhere: tuple[str, ...]
    message: str


def fingerprint(crash: Crash, grouping: Grouping | None = None) -> Fingerprint:
    """Return which issue a crash belongs to. Equal inputs give equal ids for ever."""
    grouping = grouping or Grouping()
    seen = _read(crash, grouping.source)
    custom = _custom(seen, grouping.rules)
    rule, parts = next(each for each in _rules(seen, custom) if each[1])
    sites = seen.in_app or seen.everywhere
    return Fingerprint(
        version=FINGERPRINT,
        rule=rule,
        issue_id=short_id("iss", FINGERPRINT, rule, *parts),
        types=seen.types,
        sites=sites,
        template=seen.message,
        stack=digest([FINGERPRINT, seen.types, sites])[:16] if sites else None,
        template_key=digest([FINGERPRINT, seen.types[-1:], seen.message])[:16],
        culprit=sites[-1] if sites else "",
    )


def _rules(seen: _Reading, custom: str) -> Iterable[tuple[str, tuple[object, ...]]]:
    """Yield every rule with the parts it would name the issue by; no parts: does not apply."""
    yield "custom", ((custom,) if custom else ())
    yield "stack", ((seen.types, seen.in_app) if seen.in_app else ())
    yield "foreign", ((seen.types, seen.everywhere, seen.message) if seen.everywhere else ())
    yield "template", ((seen.types[-1], seen.message) if seen.types[-1] else ())
    yield "message", (seen.message or "no message",)


def _read(crash: Crash, source: Sequence[str]) -> _Reading:
    types = tuple(name_of(each) for each in crash.exceptions)
    if any(is_group(name) for name in types):
        return _read_group(crash, source)
    joined = tuple(frame for each in reversed(crash.exceptions) for frame in each.frames)
    kind = "RecursionError" if "RecursionError" in types else ""
    in_app = _sites((f for f in joined if is_in_app(f, source)), source, IN_APP_DEPTH, kind)
    foreign = () if in_app else _sites(joined, source, FOREIGN_DEPTH, kind)
    return _Reading(_collapse(types), in_app, foreign, template(crash.raised.value))


def _read_group(crash: Crash, source: Sequence[str]) -> _Reading:
    """Read an ExceptionGroup as the set of its members: order and number do not matter."""
    members = [each for each in crash.exceptions if not is_group(name_of(each))]
    groups = [name_of(each) for each in crash.exceptions if is_group(name_of(each))]
    # Nested groups differ from run to run; the members say what went wrong.
    kept = members or list(crash.exceptions)
    signatures = sorted(
        {(name_of(each), *_member_sites(each, source)) for each in kept},
    )
    sites = tuple(dict.fromkeys(site for _, *found in signatures for site in found))
    own = any(is_in_app(frame, source) for each in kept for frame in each.frames)
    types = (*dict.fromkeys(name for name, *_ in signatures), groups[-1])
    message = min(template(each.value) for each in kept)
    return _Reading(types, sites if own else (), () if own else sites, message)


def _member_sites(each: RaisedException, source: Sequence[str]) -> tuple[str, ...]:
    own = (frame for frame in each.frames if is_in_app(frame, source))
    found = _sites(own, source, IN_APP_DEPTH, "")
    return found or _sites(each.frames, source, FOREIGN_DEPTH, "")


def _sites(
    frames: Iterable[Frame], source: Sequence[str], depth: int, kind: str
) -> tuple[str, ...]:
    """Return the functions that count, outermost first, at most `depth` nearest the raise."""
    names = [str(site_of(frame, source)) for frame in telling(frames, source)]
    if kind == "RecursionError":
        # Where in the cycle the limit struck is chance: the cycle itself is the place.
        cycle = [name for name, times in Counter(names).items() if times > 1]
        if cycle:
            return tuple(sorted(cycle)[:depth])
    nearest_first = dict.fromkeys(reversed(names))
    return tuple(reversed(list(nearest_first)[:depth]))


def name_of(each: RaisedException) -> str:
    """Return the class's own name: SDKs differ in whether they qualify it."""
    return each.type.rpartition(".")[2]


def is_group(name: str) -> bool:
    """Say whether a type is one of the language's groups of exceptions."""
    return name.endswith("ExceptionGroup")


def _collapse(names: Sequence[str]) -> tuple[str, ...]:
    """Drop consecutive duplicates: a retry that chains the same type five times is one."""
    return tuple(name for at, name in enumerate(names) if at == 0 or name != names[at - 1])


def _custom(seen: _Reading, rules: Sequence[CustomRule]) -> str:
    culprit = (seen.in_app or seen.everywhere or ("",))[-1]
    for rule in rules:
        pairs = (
            (seen.types[-1], rule.exception_type),
            (culprit, rule.function),
            (seen.message, rule.message),
        )
        if all(fnmatchcase(value, pattern) for value, pattern in pairs):
            return rule.group
    return ""
