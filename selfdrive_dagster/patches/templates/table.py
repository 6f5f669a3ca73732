"""The families, and which exception leads to which: two ordered tables.

Weights are shares of the budget (see ordering). What is believed of a family comes from the ladder
of repair.md §6 (rung r weighs 1/r, so that cheap edits lead and insertions never starve), scaled
by how often that shape mends real code: of 231 contiguous fixes of BugsInPy (§2) 57 replace an
expression, 27 change a condition, 17 check None, 13 insert a statement, 10 a guard, 10 an argument,
8 a name or constant, 5 widen a handler, 4 delete. What was counted in mined fixes since
(`frequencies`) moves it. A family that the exception's class routes to gets up to eight times the
weight of a generic one, falling with its place in the route; a failing test's exception counts less
than a crash: what its own tests notice is mostly a slip in the code, where any edit may be due,
while what they missed is mostly data that nobody thought of.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from selfdrive_dagster.patches.templates import (
    calls,
    conditions,
    constants,
    decorators,
    defaults,
    guards,
    handlers,
    jumps,
    loops,
    moves,
    names,
    operators,
    wraps,
)
from selfdrive_dagster.patches.templates.frequencies import counted, shares
from selfdrive_dagster.patches.templates.origins import origins_by
from selfdrive_dagster.patches.templates.site import Rewrite, Site
from selfdrive_dagster.patches.templates.twins import twins_of


class Family(msgspec.Struct, frozen=True):
    """A named way to change a statement; `rung` is its place on the ladder, from 1."""

    name: str
    make: Callable[[Site], Iterator[Rewrite]]
    rung: float
    frequency: float = 1.0
    routed_only: bool = False
    """True for families that need an exception's clue: without one they never run."""

    @property
    def believed(self) -> float:
        """Share of the budget before mined fixes are counted, when no exception speaks for it."""
        return self.frequency / self.rung


FAMILIES: tuple[Family, ...] = (
    Family("comparison", operators.compare, 1, 1.5),
    Family("operator", operators.operate, 1, 1.2),
    Family("sign", operators.sign, 2),
    Family("plus_minus_one", constants.shift, 1.5),
    Family("order", names.swap, 2),
    Family("jump", jumps.jump, 1.5),
    Family("loop", loops.iterate, 2),
    Family("wrong_name", names.rename, 2, 1.2),
    Family("condition", conditions.conditions, 2, 1.8),
    Family("method", calls.methods, 2),
    Family("literal", constants.literal, 2.5),
    Family("unwrap", wraps.unwrap, 3),
    Family("call_shape", calls.arguments, 3, 1.2),
    Family("handler_class", handlers.reclass, 2),
    Family("default", defaults.default, 3),
    Family("return", constants.result, 3),
    Family("conversion", wraps.convert, 3),
    Family("ingredient", wraps.ingredient, 4, 1.5),
    Family("combine", wraps.combine, 4),
    Family("l_value", moves.retarget, 4),
    Family("delete", moves.delete, 4),
    Family("guard", guards.guard, 5, 1.2),
    Family("widen", handlers.widen, 3),
    Family("donor", moves.donate, 5, 1.2),
    Family("encoding", calls.encoding, 5),
    Family("divide", defaults.divide, 4, routed_only=True),
    Family("catch", guards.catch, 6, routed_only=True),
    Family("translate", handlers.translate, 6),
    Family("nearest", names.nearest, 2, routed_only=True),
    Family("initialise", defaults.initialise, 2, routed_only=True),
    Family("decorator", decorators.decorate, 6),
    Family(
        "origin",
        origins_by(constants.shift, operators.compare, operators.operate, constants.literal),
        6,
    ),
    Family(
        "twin",
        twins_of(operators.compare, operators.operate, constants.shift, names.rename),
        3,
    ),
)

_NONE_ROUTE = ("condition", "guard", "default", "call_shape", "nearest", "conversion", "catch")
_ESCAPING = ("widen", "translate", "catch", "guard", "condition", "handler_class")

# Exception classes → the families that mend them, likeliest first (repair.md §3).
ROUTES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("AttributeError",), ("nearest", *_NONE_ROUTE, "method")),
    (("TypeError",), ("call_shape", "condition", "guard", "conversion", "default", "order", "widen",
                      "translate", "catch")),
    (("KeyError",), ("default", "condition", "guard", "translate", "widen", "literal", "catch")),
    (("IndexError",), ("condition", "default", "guard", "plus_minus_one", "comparison", "catch",
                       "translate", "widen")),
    (("ZeroDivisionError",), ("divide", "guard", "condition", "default", "catch", "translate")),
    (("ValueError",), ("default", "catch", "widen", "translate", "condition", "guard",
                       "handler_class", "conversion", "call_shape")),
    (("StopIteration", "StopAsyncIteration"), ("default", "guard", "catch", "translate")),
    (("UnicodeDecodeError", "UnicodeEncodeError", "UnicodeError", "LookupError"),
     ("encoding", "widen", "translate", "catch", "conversion")),
    (("UnboundLocalError",), ("initialise", "nearest", "delete", "guard")),
    (("NameError",), ("nearest", "initialise", "delete", "wrong_name")),
    (("RecursionError",), ("comparison", "plus_minus_one", "order", "condition", "guard")),
    (("AssertionError", ""), ()),
)  # fmt: skip


# What the message of an exception adds: these families move to the front of the route.
HINTS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), families)
    for pattern, families in (
        (
            r"unexpected keyword|required (positional|keyword)|positional arguments? but",
            ("call_shape",),
        ),
        (r"concatenate|unsupported operand|expected str|a bytes-like|must be str", ("conversion",)),
        (r"'?NoneType'? object is not (iterable|subscriptable)", ("default", "condition", "guard")),
        (r"'NoneType' object has no attribute", ("condition", "guard", "default")),
        (r"has no attribute", ("nearest",)),
        (r"values to unpack|empty sequence|is an empty", ("default", "catch")),
        (r"invalid literal|could not convert", ("catch", "translate", "default")),
    )
)


def route(exception: str, message: str = "") -> tuple[str, ...]:
    """Return the families an exception leads to; a class nobody listed escapes a handler."""
    listed = [families for classes, families in ROUTES if exception in classes]
    hinted = [families for pattern, families in HINTS if pattern.search(message)]
    ways = [*hinted[:1], *(listed or [_ESCAPING])]
    return tuple(dict.fromkeys(name for families in ways for name in families))


CRASHED, TESTED = 8.0, 3.0
"""What the first family of a route weighs more, after a crash and after a failing test."""


def weights(
    exception: str, message: str = "", *, tested: bool = False
) -> list[tuple[Family, float]]:
    """Return the families for an exception with their weights, heaviest first."""
    order = route(exception, message)
    usual = shares({family.name: family.believed for family in FAMILIES}, counted())
    most = TESTED if tested else CRASHED
    first = {name: most / (1 + place) for place, name in enumerate(order)}
    weighed = [
        (family, usual[family.name] + first.get(family.name, 0.0))
        for family in FAMILIES
        if family.name in order or not family.routed_only
    ]
    return sorted(weighed, key=lambda share: -share[1])
