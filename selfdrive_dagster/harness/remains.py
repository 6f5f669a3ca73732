"""What code leaves behind in a process: the state that a product and its tests keep in memory.

Several candidates may share one process only while none leaves anything to the next: a cached
answer, a counter, a registered handler. `Remains` notes what the modules of a folder hold, down to
each container, and what is bound in every other module; later it says whether all is still so. An
object whose state cannot be seen makes it unfit, which means that nothing may be shared.

Not seen: the disk, what lives in the objects of other packages below their module's names, and
what C code hides behind an immutable type. So it may only ever cost a candidate its trial, never
grant one: what is to hold is tried in a process of its own.

Belongs here: looking. Does not belong: what is done about it (`screening`).
"""

from __future__ import annotations

import collections
import functools
import inspect
import itertools
import operator
import os
import random
import socket
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

MOST = 40_000
"""Objects to look at: more would take longer than the processes that it saves."""

CACHING = frozenset((
    "_pytest", "_sre", "abc", "encodings", "fnmatch", "functools", "gc", "genericpath", "importlib",
    "linecache", "pluggy", "posixpath", "pytest", "re", "selfdrive_harness", "sre_compile",
    "sre_parse", "sys", "tempfile", "tokenize", "traceback", "typing", "zipimport",
))  # fmt: skip
"""Top packages whose names change with use and tell nothing: caches, and what runs the tests."""

IMMUTABLE = (
    type(None), bool, int, float, complex, str, bytes, range, slice, type(Ellipsis),
    type(NotImplemented), types.MethodDescriptorType, types.CodeType,
    types.WrapperDescriptorType, types.MethodWrapperType, types.ClassMethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType, operator.itemgetter,
    operator.attrgetter, operator.methodcaller, type(threading.Lock()), type(threading.RLock()),
)  # fmt: skip
IMMUTABLE_NAMES = frozenset((
    "re.Pattern", "_abc._abc_data", "collections._tuplegetter", "_collections._tuplegetter",
    "weakref.ReferenceType", "_struct.Struct", "datetime.date", "datetime.datetime",
    "datetime.time", "datetime.timedelta", "datetime.timezone", "datetime.tzinfo",
    "decimal.Decimal", "pathlib.PosixPath", "pathlib.PurePosixPath", "types.GenericAlias",
    "types.UnionType", "typing.TypeVar", "typing.ParamSpec", "zoneinfo.ZoneInfo",
    "logging.Logger", "logging.RootLogger", "uuid.UUID", "fractions.Fraction",
    "_pytest.mark.structures.MarkGenerator", "_pytest.config.Config", "_pytest.raises.RaisesExc",
    "_pytest.python_api.RaisesContext",
))  # fmt: skip
"""Types by name, so that nothing is imported to ask: immutable, or with state that tells nothing of
the product."""

OUTSIDE = frozenset(("__builtins__", "__spec__", "__loader__"))
"""What a module holds of the interpreter, which leads to all else."""

TOLD_ONCE = "__warningregistry__"
"""A module's name for the warnings that it gave, which is taken away at each look: whoever catches
warnings begins a new one."""

NOTES = frozenset((
    "_classSetupFailed", "_class_cleanups", "tearDown_exceptions", "__slotnames__",
))  # fmt: skip
"""What unittest and copyreg write into classes for themselves."""

CHANCE: Any = vars(random)["_inst"]
"""The generator behind the functions of `random`; its state is one of the settings."""

_MISSING = object()
_HEAP_TYPE = 1 << 9
_OF_C = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)

Look = Callable[[Any], "list[Any]"]
Same = Callable[["list[Any]", "list[Any]"], bool]
Noted = tuple[Look, Any, "list[Any]", Same]
"""How to look at a thing, the thing, what it held, and how two looks compare."""


Bound = tuple["dict[str, Any]", "list[str]", "list[Any]"]
"""A module's dict with the names and values that it held."""


class Unseen(Exception):
    """Some state cannot be looked at, or there is too much of it."""


class Remains:
    """What was there at first. `fit` is False where it cannot be known whether it still is."""

    def __init__(self, folder: str, more: Iterable[object] = ()) -> None:
        modules = [one for one in list(sys.modules.values()) if isinstance(one, types.ModuleType)]
        own = [one for one in modules if _is_below(one, folder)]
        self.own = {one.__name__ for one in own}
        self.noted: list[Noted] = []
        self.bound: list[Bound] = []
        self.names = [
            vars(one)
            for one in modules
            if one.__name__ in self.own or one.__name__.partition(".")[0] not in CACHING
        ]
        left_out = {*OUTSIDE, TOLD_ONCE}
        inside = [held for one in own for name, held in vars(one).items() if name not in left_out]
        try:
            self._walk([*inside, *more])
            self.fit = True
        except Exception:  # Unseen, or whatever a product's classes raise when they are looked at
            self.fit = False

    def begin(self) -> None:
        """Note in a child what differs from process to process: names of modules, settings."""
        self.bound = [_bound(one) for one in self.names]
        self.noted.append(_noted(_settings, None, operator.eq))

    def same(self) -> bool:
        """Say whether all is as it was."""
        return all(_is_bound(*one) for one in self.bound) and all(
            alike(look(thing), before) for look, thing, before, alike in self.noted
        )

    def _walk(self, waiting: list[Any]) -> None:
        """Go through all that can be reached, and keep what each container holds."""
        seen: set[int] = set()
        while waiting:
            thing = waiting.pop()
            kind = type(thing)
            if id(thing) in seen or _is_immutable(kind) or self._is_foreign(thing):
                continue
            seen.add(id(thing))
            if len(seen) > MOST:
                raise Unseen("too many objects")
            for look, alike in _looks(thing, kind):
                self.noted.append(_noted(look, thing, alike))
                waiting.extend(self.noted[-1][2])

    def _is_foreign(self, thing: object) -> bool:
        """Say whether this is a module, of which the names are kept, another's class, or the
        chance that all share, which is reseeded in each process."""
        foreign = isinstance(thing, type) and thing.__module__ not in self.own
        return foreign or isinstance(thing, types.ModuleType) or thing is CHANCE


def _noted(look: Look, thing: Any, alike: Same) -> Noted:
    return look, thing, look(thing), alike


def _is_below(module: types.ModuleType, folder: str) -> bool:
    path = getattr(module, "__file__", None)
    return bool(path) and os.path.abspath(str(path)).startswith(folder.rstrip(os.sep) + os.sep)


def _are_same(now: list[Any], before: list[Any]) -> bool:
    return len(now) == len(before) and all(map(operator.is_, now, before))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_immutable(kind: type) -> bool:
    return kind in IMMUTABLE or _name(kind) in IMMUTABLE_NAMES


def _dict(thing: dict[Any, Any]) -> list[Any]:
    return [*dict.keys(thing), *dict.values(thing)]


def _bound(module: dict[str, Any]) -> Bound:
    module.pop(TOLD_ONCE, None)
    return module, list(module), list(module.values())


def _is_bound(module: dict[str, Any], names: list[str], values: list[Any]) -> bool:
    """Say whether a module holds what it held; compared without a copy, since there are many."""
    module.pop(TOLD_ONCE, None)
    return (
        len(module) == len(names)
        and all(map(operator.is_, module, names))
        and all(map(operator.is_, module.values(), values))
    )


def _class(thing: type) -> list[Any]:
    held = dict(type.__getattribute__(thing, "__dict__"))
    return _dict({name: one for name, one in held.items() if name not in NOTES})


def _function(thing: Any) -> list[Any]:
    cells = thing.__closure__ or ()
    held = [_content(cell) for cell in cells]
    return [thing.__code__, thing.__defaults__, thing.__kwdefaults__, thing.__dict__, *held]


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _cached(thing: Any) -> list[Any]:
    return [thing.__wrapped__, thing.__dict__]


def _stored(thing: Any) -> list[Any]:
    """Of a cache, how often it had to ask: each such answer may be stored."""
    info = thing.cache_info()
    return [info.misses, info.currsize]


def _wrapped(thing: Any) -> list[Any]:
    return [thing.__func__]


def _property(thing: Any) -> list[Any]:
    return [thing.fget, thing.fset, thing.fdel]


def _partial(thing: Any) -> list[Any]:
    return [thing.func, thing.args, thing.keywords, thing.__dict__]


def _method(thing: Any) -> list[Any]:
    return [thing.__func__, thing.__self__]


def _unused(thing: Any) -> str:
    """Of a generator, whether it was begun; in the middle its state stays hidden."""
    state = inspect.getgeneratorstate(thing)
    if state not in (inspect.GEN_CREATED, inspect.GEN_CLOSED):
        raise Unseen("a generator that was begun")
    return state


KNOWN: tuple[tuple[type, Look, Same], ...] = (
    (dict, _dict, _are_same),
    (list, list.copy, _are_same),
    (tuple, lambda thing: list(tuple.__iter__(thing)), _are_same),
    (set, lambda thing: list(set.__iter__(thing)), _are_same),
    (frozenset, lambda thing: list(frozenset.__iter__(thing)), _are_same),
    (collections.deque, lambda thing: list(collections.deque.__iter__(thing)), _are_same),
    (types.FunctionType, _function, _are_same),
    (type, _class, _are_same),
    (functools._lru_cache_wrapper, _cached, _are_same),
    (functools._lru_cache_wrapper, _stored, operator.eq),
    (staticmethod, _wrapped, _are_same),
    (classmethod, _wrapped, _are_same),
    (property, _property, _are_same),
    (functools.partial, _partial, _are_same),
    (types.MethodType, _method, _are_same),
    (types.MappingProxyType, lambda thing: list(thing.values()), _are_same),
    (types.SimpleNamespace, lambda thing: list(vars(thing).values()), _are_same),
    (BaseException, lambda thing: [thing.args], _are_same),
    (types.BuiltinFunctionType, lambda thing: [thing.__self__], _are_same),
    (types.GeneratorType, lambda thing: [_unused(thing)], operator.eq),
    (bytearray, lambda thing: list(bytes(thing)), operator.eq),
    (itertools.count, lambda thing: [repr(thing)], operator.eq),
    (random.Random, lambda thing: [thing.getstate()], operator.eq),
)
"""How each kind of container is looked into, and how two looks compare."""

VALUES = (object, int, float, complex, str, bytes, random.Random.__base__)
"""Bases that hold a value and no more."""


def _looks(thing: Any, kind: type) -> list[tuple[Look, Same]]:
    """Return how to see all the state of an object. Raises Unseen where some stays hidden."""
    looks = [(look, alike) for base, look, alike in KNOWN if isinstance(thing, base)]
    if any(kind is base for base, _, _ in KNOWN):
        return looks
    hidden = [base for base in kind.__mro__ if not _is_seen(base)]
    if hidden:
        raise Unseen(_name(kind))
    slots = [
        held.__get__
        for base in kind.__mro__
        for held in vars(base).values()
        if type(held) is types.MemberDescriptorType and _is_python(base)
    ]
    if slots:
        looks.append((functools.partial(_slots, slots), _are_same))
    if kind.__dictoffset__ and not isinstance(thing, type):
        looks.append((_attributes, _are_same))
    return looks


def _is_seen(base: type) -> bool:
    """Say whether all is seen of what a class adds to its objects."""
    known = any(issubclass(base, one) for one, _, _ in KNOWN)  # OrderedDict and OSError too
    return known or base in VALUES or _is_immutable(base) or _is_python(base)


def _slots(slots: list[Any], thing: Any) -> list[Any]:
    return [_slot(get, thing) for get in slots]


def _slot(get: Any, thing: Any) -> object:
    try:
        return get(thing)
    except AttributeError:
        return _MISSING


def _attributes(thing: Any) -> list[Any]:
    return _dict(object.__getattribute__(thing, "__dict__"))


def _is_python(kind: type) -> bool:
    """Say whether a class is written in Python: only C code has built-in methods of its own."""
    heap = bool(kind.__flags__ & _HEAP_TYPE)
    return heap and not any(_is_of_c(held, kind) for held in vars(kind).values())


def _is_of_c(held: Any, kind: type) -> bool:
    """Say whether a name of a class is C code made for it, not a base's that it took over."""
    owner = held.__self__ if type(held) is types.BuiltinFunctionType else None
    return owner is kind or (type(held) in _OF_C and held.__objclass__ is kind)


def _settings(_nothing: None) -> list[Any]:
    """Return what tests change of the interpreter most, to be compared by value."""
    return [
        dict(os.environ),
        os.getcwd(),
        list(sys.path),
        list(sys.argv),
        sys.getrecursionlimit(),
        sys.gettrace(),
        id(sys.stdout),
        id(sys.stderr),
        id(sys.stdin),
        [id(one) for one in warnings.filters],
        random.getstate(),
        threading.active_count(),
        socket.getdefaulttimeout(),
        _context(),
        _locale(),
    ]


def _context() -> tuple[object, ...]:
    """Return how decimals are reckoned with; that a signal was raised once changes nothing."""
    if "decimal" not in sys.modules:
        return ()
    one = sys.modules["decimal"].getcontext()
    return one.prec, one.rounding, one.Emin, one.Emax, one.capitals, one.clamp, dict(one.traps)


def _locale() -> str:
    locale = sys.modules.get("locale")
    return "" if locale is None else str(locale.setlocale(locale.LC_ALL))
