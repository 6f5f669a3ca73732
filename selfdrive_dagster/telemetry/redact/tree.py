"""Trees: JSON-like values, walked once and bounded; what is too deep or too much is cut."""

from collections.abc import Mapping
from typing import Any

from selfdrive_dagster.telemetry.redact.names import SECRET, Secrecy, hide, secrecy_of
from selfdrive_dagster.telemetry.redact.text import CUT, redact_text

MAX_DEPTH = 24
MAX_NODES = 20_000

LABELS = (("name", "value"), ("key", "value"), ("field", "value"), ("header", "value"),
          ("name", "values"), ("loc", "input"))  # fmt: skip
"""Entries of one mapping that are a name and its value in disguise; case does not matter."""


def _labelled(value: Mapping[Any, Any]) -> tuple[Secrecy, Any]:
    """Return what a mapping like `{"name": "password", "value": …}` promises, and of which key."""
    keys = {key.lower(): key for key in value if isinstance(key, str)}
    for label, place in LABELS:
        if label in keys and place in keys:
            named = value[keys[label]]
            last = named[-1] if isinstance(named, list | tuple) and named else named
            if isinstance(last, str) and secrecy_of(last):
                return secrecy_of(last), keys[place]
    return Secrecy.PLAIN, None


class _Walk:
    """One bounded walk over a JSON-like tree."""

    def __init__(self) -> None:
        self.left = MAX_NODES

    def value(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            return CUT
        if isinstance(value, str):
            return redact_text(value)
        if value is None or isinstance(value, bool | int | float):
            return self.number(value)
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple):
            return self.sequence(value, depth)
        return "[unreadable]"

    def number(self, value: Any) -> Any:
        """Keep numbers; a card number sent as an integer is still a card number."""
        is_long = isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**12
        return (
            "[card]"
            if is_long and abs(value) < 10**19 and redact_text(str(value)) == "[card]"
            else value
        )

    def mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        label, place = _labelled(value)
        clean: dict[str, Any] = {}
        for key, inner in value.items():
            if self.left < 0:
                clean[CUT] = CUT
                break
            name = str(key)
            secrecy = max(label, secrecy_of(name)) if key == place else secrecy_of(name)
            clean[redact_text(name)] = self.pair(secrecy, inner, depth)
        return clean

    def sequence(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        # A pair ["Cookie", "a=b"] is a name and its value: headers arrive this way.
        if len(value) == 2 and isinstance(value[0], str):
            secrecy = secrecy_of(value[0])
            return [redact_text(value[0]), self.pair(secrecy, value[1], depth)]
        clean = []
        for inner in value:
            if self.left < 0:
                clean.append(CUT)
                break
            clean.append(self.value(inner, depth + 1))
        return clean

    def pair(self, secrecy: Secrecy, value: Any, depth: int) -> Any:
        if secrecy and (hidden := hide(secrecy, value)) is SECRET:
            return hidden
        return self.value(value, depth + 1)


def redact_value(value: Any, name: str = "") -> Any:
    """Return a JSON-like value without secrets; `name` is what the sender called it."""
    return _Walk().pair(secrecy_of(name), value, 0)
