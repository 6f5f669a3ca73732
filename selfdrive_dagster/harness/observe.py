"""Reduce a value to something comparable: what a caller could tell apart.

Belongs here: values. Does not belong: judging whether a difference matters.
"""

from __future__ import annotations

import re
import types
from typing import Any

DEPTH = 5
ENTRIES = 200
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
PLAIN = (bool, int, float, complex, str, bytes, type(None))


def observe(value: Any, depth: int = DEPTH) -> str:
    """Return a text that is equal for values a caller could not tell apart."""
    kind = type(value)
    if kind in PLAIN:
        return f"{kind.__name__}:{value!r}"
    if depth == 0:
        return f"{kind.__qualname__}:…"
    if isinstance(value, dict):
        pairs = [
            f"{observe(k, depth - 1)}={observe(v, depth - 1)}"
            for k, v in list(value.items())[:ENTRIES]
        ]
        return f"{kind.__qualname__}({len(value)}){{{', '.join(pairs)}}}"
    if isinstance(value, (list, tuple)):
        items = [observe(item, depth - 1) for item in value[:ENTRIES]]
        return f"{kind.__qualname__}({len(value)})[{', '.join(items)}]"
    if isinstance(value, (set, frozenset)):
        return f"{kind.__qualname__}({', '.join(sorted(observe(i, depth - 1) for i in value))})"
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type, types.ModuleType)):
        return f"{kind.__name__}:{getattr(value, '__qualname__', value.__name__)}"
    return _observe_object(value, depth)


def _observe_object(value: Any, depth: int) -> str:
    kind = type(value)
    if "__repr__" in {n for c in kind.__mro__[:-1] for n in vars(c)}:
        try:
            return f"{kind.__qualname__}:{ADDRESS.sub('', repr(value))[:2000]}"
        except Exception as error:  # a stranger's __repr__ may raise anything
            return f"{kind.__qualname__}:repr raised {type(error).__name__}"
    state = getattr(value, "__dict__", None)
    if state is None:
        names = [n for c in kind.__mro__ for n in getattr(c, "__slots__", ()) if isinstance(n, str)]
        state = {name: getattr(value, name, None) for name in names}
    return f"{kind.__qualname__}<{observe(dict(state), depth - 1)}>"
