"""Neighbours of a value: small changes that keep its type.

Used by the neighbour check: wherever the base did not fail, base and patch must agree.
A neighbour is named by a path into the arguments and a replacement, so that every fork
rebuilds exactly the same one.
"""

from __future__ import annotations

import copy
import datetime
import decimal
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

DEPTH = 3
ENTRIES = 4
FIELDS = 8

Make = Callable[[Any], Any]


def neighbours(arguments: dict[str, Any], limit: int, seed: int) -> list[dict[str, Any]]:
    """Return at most `limit` argument sets near the given one, the given one first.

    Single changes come first, in a seeded order; pairs of changes fill the rest.
    """
    rng = random.Random(seed)
    single = list(_changes(arguments, DEPTH))
    rng.shuffle(single)
    made: list[dict[str, Any]] = [arguments]
    for change in single[: max(0, limit - 1)]:
        _keep(made, change, arguments)
    while len(made) < limit and len(single) > 1 and len(made) < 3 * len(single):
        first, second = rng.sample(single, 2)
        before = len(made)
        _keep(made, partial(_both, first, second), arguments)
        if len(made) == before:
            break
    return made


def _keep(made: list[dict[str, Any]], change: Make, arguments: dict[str, Any]) -> None:
    try:
        made.append(change(arguments))
    except Exception:  # a stranger's object may refuse to be copied or changed: skip it
        return


def _changes(value: Any, depth: int) -> Iterator[Make]:
    """Yield functions that turn a value into a neighbour of it."""
    for simple in _simple(value):
        yield partial(_replace, simple)
    if depth == 0:
        return
    if isinstance(value, dict):
        yield from _dict_changes(value, depth)
    elif isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        yield from _sequence_changes(value, depth)
    elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, type):
        yield from _object_changes(value, depth)


def _replace(new: Any, _old: Any) -> Any:
    return new


def _both(first: Make, second: Make, value: Any) -> Any:
    return second(first(value))


def _simple(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    for kind, near in NEAR:
        if type(value) is kind:
            return [new for new in near(value) if new != value or type(new) is not kind]
    return []


def _near_int(n: int) -> list[Any]:
    return [n + 1, n - 1, 0, 1, -1, -n, 2 * n, n // 2, 10, 100]


def _near_float(x: float) -> list[Any]:
    return [x + 1, x - 1, 0.0, 1.0, -x, x / 2, x * 2, x + 0.01, x - 0.01, x + 0.5]


def _near_str(s: str) -> list[Any]:
    made = ["", " ", s[:-1], s[1:], s[:1], s[-1:], s + s[-1:], s[::-1], " " + s, s + "x", "0", "7"]
    made += [s.upper(), s.lower(), s.title(), s.replace(" ", ""), s + "1", "-" + s, s + " ", "a b"]
    digits = [i for i, c in enumerate(s) if c.isdigit()]
    made += [s[:i] + str((int(s[i]) + 1) % 10) + s[i + 1 :] for i in digits[:3] if s[i].isascii()]
    return list(dict.fromkeys(made))


def _near_bytes(b: bytes) -> list[Any]:
    return [b"", b[:-1], b[1:], b[:1], b + b[-1:], b + b"x", b[::-1]]


def _near_decimal(d: decimal.Decimal) -> list[Any]:
    if not d.is_finite():
        return [decimal.Decimal(0), decimal.Decimal(1)]
    one, cent = decimal.Decimal(1), decimal.Decimal("0.01")
    return [d + one, d - one, decimal.Decimal(0), -d, d + cent, d - cent, d * 2]


def _near_datetime(moment: datetime.datetime) -> list[Any]:
    steps = [datetime.timedelta(days=1), datetime.timedelta(hours=1), datetime.timedelta(seconds=1)]
    return [moment + step for step in steps] + [moment - step for step in steps]


def _near_date(day: datetime.date) -> list[Any]:
    return [day + datetime.timedelta(days=n) for n in (1, -1, 31, -365)]


def _near_delta(span: datetime.timedelta) -> list[Any]:
    return [span * 2, -span, datetime.timedelta(0), span + datetime.timedelta(seconds=1)]


NEAR: tuple[tuple[type, Callable[[Any], list[Any]]], ...] = (
    (int, _near_int),
    (float, _near_float),
    (str, _near_str),
    (bytes, _near_bytes),
    (decimal.Decimal, _near_decimal),
    (datetime.datetime, _near_datetime),
    (datetime.date, _near_date),
    (datetime.timedelta, _near_delta),
)


def _dict_changes(value: dict[Any, Any], depth: int) -> Iterator[Make]:
    for key in list(value)[:ENTRIES] if len(value) > FIELDS else list(value):
        if depth < DEPTH:  # the arguments themselves stay complete
            yield partial(_without, key)
        for inner in _changes(value[key], depth - 1):
            yield partial(_with_item, key, inner)


def _without(key: Any, old: dict[Any, Any]) -> dict[Any, Any]:
    return _rebuild(old, {k: v for k, v in old.items() if k != key})


def _with_item(key: Any, inner: Make, old: dict[Any, Any]) -> dict[Any, Any]:
    return _rebuild(old, {k: inner(v) if k == key else v for k, v in old.items()})


def _rebuild(old: dict[Any, Any], items: dict[Any, Any]) -> dict[Any, Any]:
    if type(old) is dict:
        return items
    made = copy.copy(old)
    made.clear()
    made.update(items)
    return made


def _sequence_changes(value: Any, depth: int) -> Iterator[Make]:
    yield lambda old: type(old)()
    if value:
        yield lambda old: old[:-1]
        yield lambda old: old[1:]
        yield lambda old: old + old[-1:]
        yield lambda old: old[::-1]
    for index in range(min(len(value), ENTRIES)):
        for inner in _changes(value[index], depth - 1):
            yield partial(_with_entry, index, inner)


def _with_entry(index: int, inner: Make, old: Any) -> Any:
    return old[:index] + type(old)([inner(old[index])]) + old[index + 1 :]


def _object_changes(value: Any, depth: int) -> Iterator[Make]:
    for name in [n for n in vars(value) if not n.startswith("__")][:FIELDS]:
        for inner in _changes(vars(value)[name], depth - 1):
            yield partial(_with_attribute, name, inner)


def _with_attribute(name: str, inner: Make, old: Any) -> Any:
    made = copy.copy(old)
    vars(made)[name] = inner(vars(old)[name])
    return made
