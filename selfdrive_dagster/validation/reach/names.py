"""What a file names: modules, built-ins, attributes and texts that lead out of the product."""

import ast
from collections.abc import Iterator

import msgspec

from selfdrive_dagster.validation.reach.source import Source, is_dunder, text_of
from selfdrive_dagster.validation.reach.words import (
    ATTRIBUTES,
    BUILTINS,
    CLOCK_FUNCTIONS,
    CLOCKS,
    DUNDER,
    HARMLESS,
    HARMLESS_MODULES,
    IMPORTED_MODULES,
    MODULES,
    PROBE,
    PURE_IMPORTS,
    READ_DUNDERS,
)


class Friends(msgspec.Struct, frozen=True):
    """Top packages that may be imported: the product's `own`, and those the base file `known`."""

    own: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()

    def hide(self, origin: str) -> bool:
        """Say whether an imported name is a hidden part of what is not the product's own."""
        root = origin.partition(".")[0]
        return "._" in origin and bool(root) and root not in self.own

    def welcome(self, origin: str) -> bool:
        """Say whether a package may be imported anew; relative imports are the product's own."""
        root = origin.partition(".")[0]
        known = not root or any(root in some for some in (self.own, self.known, PURE_IMPORTS))
        return known and not origin.endswith("*")


def imports(source: Source, friends: Friends) -> Iterator[str]:
    """Tell imports of what is risky, hidden or unknown."""
    for _, origin in source.imports:
        if _is_risky(origin) or friends.hide(origin) or not friends.welcome(origin):
            yield f"brings in {origin!r}"


def names(source: Source, friends: Friends) -> Iterator[str]:
    """Tell dotted names that lead to a risky module or built-in, under whatever name."""
    bound = tuple(f"{origin}." for _, origin in source.imports)
    for chain in (one for _, meant in source.chains for one in meant):
        imported = f"{chain}.".startswith(bound)
        reaches = imported and (_is_risky(chain) or friends.hide(chain))
        if reaches or _is_risky_unbound(chain):
            yield f"brings in {chain!r}"
        if chain in CLOCK_FUNCTIONS:
            yield f"reads the clock: {chain}"


def _is_risky(origin: str) -> bool:
    """Say whether an imported dotted name leads through a risky module."""
    if origin in HARMLESS or f"{origin}.".startswith(HARMLESS_MODULES):
        return False
    parts = [part for part in origin.split(".") if part]
    risky = IMPORTED_MODULES | ATTRIBUTES
    return any(part.lstrip("_") in risky or _is_odd(part) for part in parts)


def _is_risky_unbound(chain: str) -> bool:
    """Say the same of a name that no import binds: fewer words, since variables have names too."""
    head = chain.partition(".")[0]
    risky = head in BUILTINS or head.lstrip("_") in MODULES or _is_odd(head)
    return risky and chain not in HARMLESS


def _is_odd(name: str) -> bool:
    return is_dunder(name) and name not in READ_DUNDERS


def attributes(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell attributes that are risky on whatever they stand, and dunders that are set."""
    for name, is_set in source.attributes:
        odd = _is_odd(name) or (is_set and is_dunder(name))
        if odd or name in ATTRIBUTES or name.lstrip("_") in MODULES:
            yield f"brings in '.{name}'"
        if name in CLOCKS:
            yield f"reads the clock: .{name}"


def computed(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell attributes and classes that only a run would name."""
    called = {id(call.func): call for call in source.calls_of("getattr")}
    for call in called.values():
        if text_of(call.args[1:2]) is None:
            yield "brings in getattr with a computed name"
    for node, meant in source.chains:
        if meant & {"getattr", "builtins.getattr"} and id(node) not in called:
            yield "brings in 'getattr'"
    for call in source.calls_of("type"):
        if len(call.args) > 1:
            yield "makes a class by calling type"


def texts(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell texts that probe for tests or name what attributes must not reach."""
    for node in source.nodes:
        value = node.value if isinstance(node, ast.Constant) else None
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if isinstance(text, str):
            found = [*PROBE.findall(text), *filter(_is_odd, DUNDER.findall(text))]
            yield from (f"brings in the text {word!r}" for word in found)


def annotations(source: Source, _friends: Friends) -> Iterator[str]:
    """Tell annotations in quotes that call something: `singledispatch` and others evaluate them."""
    for node in source.nodes:
        given = getattr(node, "annotation", None) or getattr(node, "returns", None)
        for part in ast.walk(given) if isinstance(given, ast.AST) else ():
            if "(" in (text_of([part]) or ""):
                yield "brings in an annotation that calls something"
