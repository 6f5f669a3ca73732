"""Send what a crash needs to be rebuilt: the parameters of your frames, with their attributes.

Stock SDKs send `<Cart object at 0x7f…>`. Copy this file into your product and name it to your SDK:

    sentry_sdk.init(dsn=…, before_send=before_send)      # Sentry
    provider.add_span_processor(StateProcessor())        # OpenTelemetry

It reads attributes that are there, runs no property, no `__repr__` and no query of yours, keeps
to the bounds below, and hides what stands under the names in SECRETS before it leaves you.
"""

import contextlib
import datetime
import decimal
import fractions
import functools
import ipaddress
import json
import os
import pathlib
import re
import sysconfig
import types
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from enum import Enum
from typing import Any

try:
    from opentelemetry.sdk.trace import SpanProcessor
except ImportError:
    SpanProcessor = object  # type: ignore[assignment, misc]

SECRETS = re.compile(
    r"pass|pwd|secret|token|auth|cookie|credential|api_?key|private|csrf|session_?id|salt", re.I
)
DEPTH, BREADTH, LENGTH, NODES, FRAMES, CHARACTERS = 6, 50, 2000, 2000, 20, 200_000
FOREIGN = ("site-packages", "dist-packages", sysconfig.get_paths()["stdlib"], "<")
PLAIN = (type(None), bool, int, float, complex)
STANDARD = (
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone,
    decimal.Decimal, fractions.Fraction, uuid.UUID, zoneinfo.ZoneInfo, range, pathlib.PosixPath,
    pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath,
    ipaddress.IPv4Address, ipaddress.IPv6Address,
)  # fmt: skip
"""Types whose repr is a call that makes the value again."""
SEQUENCES: dict[type, str] = {
    list: "$list", tuple: "$tuple", set: "$set", frozenset: "$frozenset", deque: "$deque",
}  # fmt: skip
MAPPINGS: dict[type, str] = {
    dict: "$dict",
    OrderedDict: "$ordered",
    defaultdict: "$default",
    Counter: "$counter",
}
NAMED = (type, types.FunctionType, types.BuiltinFunctionType)
MODULES = (types.ModuleType, type(None))
METHODS = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)


def before_send(event: dict[str, Any], hint: dict[str, Any]) -> dict[str, Any]:
    """Sentry: add the state of parameters to the frames that carry variables already."""
    with contextlib.suppress(Exception):  # a report is never lost for what it might have held
        _add_state(event, hint)
    return event


def _add_state(event: dict[str, Any], hint: dict[str, Any]) -> None:
    error, writer = (hint.get("exc_info") or (None, None))[1], _Writer()
    for value in reversed(event.get("exception", {}).get("values", [])):
        if error is None or type(error).__name__ != value.get("type"):
            break
        live = _live(error)
        for told in reversed((value.get("stacktrace") or {}).get("frames", [])):
            place = (told.get("abs_path"), told.get("lineno"))
            found = next((one for one in live if one[:2] == place), None)
            if found is not None:
                del live[: live.index(found) + 1]
            if found is None or told.get("in_app") is False or not told.get("vars"):
                continue
            state = writer.parameters(found[2])
            hidden = {name for name, one in told["vars"].items() if one == "[Filtered]"}
            told["vars"].update({k: v for k, v in state.items() if k not in hidden})
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class StateProcessor(SpanProcessor):
    """OpenTelemetry: exceptions that spans record carry `selfdrive.state`, a JSON text."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Let this span tell the state with each exception."""
        stock = span.record_exception

        def record_exception(
            exception: Any, attributes: Any = None, *more: Any, **named: Any
        ) -> None:
            told = dict(attributes or {})
            with contextlib.suppress(Exception):  # whatever it is, the exception itself is told
                told["selfdrive.state"] = state_of(exception)
            stock(exception, told, *more, **named)

        span.record_exception = record_exception


def state_of(error: BaseException) -> str:
    """Return the innermost frames of your own code and their parameters as JSON."""
    writer, own = _Writer(), [one for one in _live(error) if not any(f in one[0] for f in FOREIGN)]
    told = [
        {
            "path": path,
            "line": line,
            "function": frame.f_code.co_name,
            "vars": writer.parameters(frame),
        }
        for path, line, frame in own[:FRAMES]
    ]
    return json.dumps({"frames": told})


def _live(error: BaseException) -> list[tuple[str, int, types.FrameType]]:
    """Return file, line and frame of a traceback, innermost first."""
    found, at = [], error.__traceback__
    while at is not None:
        found.append((os.path.abspath(at.tb_frame.f_code.co_filename), at.tb_lineno, at.tb_frame))
        at = at.tb_next
    return found[::-1]


class _Writer:
    """Writes values as JSON within bounds; a key with `$` says what Python had."""

    def __init__(self) -> None:
        self.left, self.room = NODES, CHARACTERS

    def parameters(self, frame: types.FrameType) -> dict[str, Any]:
        code, held = frame.f_code, frame.f_locals
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & 4) + bool(code.co_flags & 8)  # *args and **kwargs
        return self.named({k: held[k] for k in code.co_varnames[:count] if k in held}, 0, ())

    def named(self, pairs: dict[str, Any], depth: int, path: tuple[int, ...]) -> dict[str, Any]:
        return {
            key: "[Filtered]" if SECRETS.search(key) else self.value(value, depth, path)
            for key, value in pairs.items()
        }

    def value(self, value: Any, depth: int, path: tuple[int, ...]) -> Any:
        kind = type(value)
        self.left -= 1
        if self.left < 0 or depth > DEPTH or id(value) in path:
            return {"$cut": kind.__qualname__}
        try:
            if kind in PLAIN or kind in STANDARD or kind in (str, bytes):
                return self.plain(value, kind)
            return self.whole(value, kind, depth + 1, (*path, id(value)))
        except Exception:  # a stranger's class may do anything; a report is never lost for it
            return {"$cut": kind.__qualname__}

    def plain(self, value: Any, kind: type) -> Any:
        is_long = kind is int and value.bit_length() > 4 * LENGTH
        is_long = is_long or (kind in (str, bytes) and len(value) > LENGTH)
        shown = "" if is_long else repr(value)
        self.room -= len(shown)
        return shown if shown and self.room >= 0 else {"$cut": kind.__qualname__}

    def whole(self, value: Any, kind: type, depth: int, path: tuple[int, ...]) -> Any:
        if kind in SEQUENCES and len(value) <= BREADTH:
            return {SEQUENCES[kind]: [self.value(one, depth, path) for one in value]}
        if kind in MAPPINGS and len(value) <= BREADTH:
            return self.mapping(value, kind, depth, path)
        if issubclass(kind, Enum):
            return {"$enum": _name(kind), "name": value._name_}
        if issubclass(kind, METHODS) and not isinstance(value.__self__, MODULES):
            return {"$method": value.__name__, "of": self.value(value.__self__, depth, path)}
        if issubclass(kind, NAMED):
            return {"$name": _name(value)}
        if kind is re.Pattern:
            return {"$pattern": repr(value.pattern), "flags": value.flags}
        if kind is functools.partial:
            parts = {"args": value.args, "keywords": value.keywords}
            return {
                "$partial": self.value(value.func, depth, path),
                **self.named(parts, depth, path),
            }
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            fields = dict(zip(kind._fields, tuple.__iter__(value), strict=True))
            return {"$record": _name(kind), "state": self.named(fields, depth, path)}
        if issubclass(kind, (int, float, str, bytes, list, tuple, dict, set, types.ModuleType)):
            return {"$cut": kind.__qualname__}  # a subclass, or too many entries
        return {
            "$object": _name(kind),
            "made": _made(kind),
            "state": self.attributes(value, kind, depth, path),
        }

    def mapping(self, value: Any, kind: type, depth: int, path: tuple[int, ...]) -> Any:
        more = (
            {"factory": self.value(value.default_factory, depth, path)}
            if kind is defaultdict
            else {}
        )
        if kind is not OrderedDict and all(type(key) is str for key in value):
            return {MAPPINGS[kind]: self.named(value, depth, path), **more}
        pairs = [
            [
                self.value(key, depth, path),
                "[Filtered]" if SECRETS.search(_word(key)) else self.value(one, depth, path),
            ]
            for key, one in value.items()
        ]
        return {MAPPINGS[kind]: pairs, **more}

    def attributes(
        self, value: Any, kind: type, depth: int, path: tuple[int, ...]
    ) -> dict[str, Any]:
        held: dict[str, Any] = {}
        for base in kind.__mro__:
            own = base.__dict__.get("__dict__")
            if isinstance(own, types.GetSetDescriptorType):  # a proxy has a property there
                held.update(own.__get__(value))
            slots = base.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                full = (
                    f"_{base.__name__.lstrip('_')}{name}"
                    if name.startswith("__") and not name.endswith("__")
                    else name
                )
                member = base.__dict__.get(full)
                if isinstance(member, types.MemberDescriptorType):
                    try:
                        held[full] = member.__get__(value)
                    except AttributeError:
                        continue  # a slot that nobody filled
        shown = {k: v for k, v in held.items() if k[:2] != "__" and k[:4] != "_sa_"}
        return self.named(shown, depth, path)


def _made(kind: type) -> str:
    """Say how such an object is made: models take their fields by name."""
    marks = {
        "__dataclass_fields__": "dataclass",
        "__pydantic_fields__": "model",
        "__mapper__": "row",
        "_meta": "row",
    }
    has = {name for base in kind.__mro__ for name in base.__dict__}
    return next((how for mark, how in marks.items() if mark in has), "object")


def _word(key: Any) -> str:
    """Return what a key of a mapping is called, without asking a class of yours."""
    if issubclass(type(key), Enum):
        return str(key._name_)
    if type(key) is tuple:
        return " ".join(map(_word, key))
    return str(key) if type(key) in (str, bytes, *PLAIN) else ""


def _name(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"
