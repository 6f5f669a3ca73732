"""What functions answer on real calls and on their neighbours, on the tree as it stands.

Run once on the base and once on the patch with the same seed, the answers must be equal: unlike
the neighbour check, nothing is swapped in, so a decorator or a module-level line is judged too.
Each distinct call is made on copies in a fork, twice in a row: a second answer that differs is no
function of its arguments, and a cache would show.

Spec: `node_ids`, `args`, `targets` [{path, function, watch [local name]}], `calls` of each target
at most, `inputs` of each call, `seed`, `deadline_seconds`, `seconds` in all.
Emits {"kind": "answer", "target", "key", "input", "shown", "how", "value", "after", "type",
"again", "before"} where `key` tells the recorded call and `again` whether the second answer was
the same; {"kind": "types", "target", "name", "types"} of arguments (at the call) and of the
elements of watched locals (at the return); {"kind": "test", "id", "outcome"};
{"kind": "lost", "target"} for a call whose study died; {"kind": "end", "exit"}.
"""

from __future__ import annotations

import copy
import os
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest

from . import fork
from .neighbours import _arguments, _call_shape, _finish, _show
from .observe import observe
from .perturb import neighbours
from .running import run_item, run_session
from .session import SelfdriveDeadline, deadline, qualified, settle

Emit = Callable[[dict[str, Any]], None]
ELEMENTS = 2_000
SHARES = 6
"""So many calls share the time: one slow call must not be all that is studied."""
TEST_SECONDS = 120.0


def main(spec: dict[str, Any], emit: Emit) -> int:
    """Run the tests and study the calls that they make of the targets."""
    code = run_session(spec["node_ids"], spec.get("args", []), Study(spec, emit))
    emit({"kind": "end", "exit": code})
    return code


class Study:
    """A pytest plugin that stops at the first of each distinct call of a target."""

    def __init__(self, spec: dict[str, Any], emit: Emit) -> None:
        self.spec = spec
        self.emit = emit
        self.end = fork.now() + spec["seconds"]
        self.targets = {
            (os.path.abspath(one["path"]), one["function"]): one for one in spec["targets"]
        }
        self.seen: dict[str, set[str]] = {one["function"]: set() for one in spec["targets"]}
        self.told: set[tuple[str, str, str]] = set()
        self.studying = threading.Lock()

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Undo settings that end a session early."""
        settle(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests in their order, watched."""
        found = {item.nodeid: item for item in session.items}
        items = [found[one] for one in self.spec["node_ids"] if one in found]
        for item, following in zip(items, [*items[1:], None], strict=False):
            # From the fixtures on: a client may start the application's thread in one of them.
            threading.settrace(self._watch)
            sys.settrace(self._watch)
            try:
                outcome = run_item(item, following, TEST_SECONDS)
            finally:
                sys.settrace(None)
                threading.settrace(None)
            self.emit({"kind": "test", "id": item.nodeid, "outcome": outcome})
        return True

    def _watch(self, frame: types.FrameType, event: str, _arg: Any) -> Any:
        code = frame.f_code
        target = self.targets.get((code.co_filename, code.co_qualname))
        if target is None or event != "call" or frame.f_lineno != code.co_firstlineno:
            return None
        if self._is_full(target):
            if all(self._is_full(one) for one in self.targets.values()):
                sys.settrace(None)  # a recursive function may be called millions of times more
            return None
        with self.studying:
            self._study(frame, target)
        if not target["watch"]:
            return None
        frame.f_trace_lines = False
        return lambda *given: self._returned(target, *given)

    def _is_full(self, target: dict[str, Any]) -> bool:
        is_late = bool(fork.now() > self.end)
        return is_late or len(self.seen[target["function"]]) >= int(self.spec["calls"])

    def _returned(
        self, target: dict[str, Any], frame: types.FrameType, event: str, _arg: Any
    ) -> None:
        if event == "return":
            for name in target["watch"]:
                if name in frame.f_locals:
                    self._tell(target, name, _elements(frame.f_locals[name]))

    def _tell(self, target: dict[str, Any], name: str, kinds: str) -> None:
        line = (target["function"], name, kinds)
        if line not in self.told:
            self.told.add(line)
            self.emit({"kind": "types", "target": line[0], "name": name, "types": kinds})

    def _study(self, frame: types.FrameType, target: dict[str, Any]) -> None:
        arguments = _arguments(frame)
        key = observe(arguments)
        seen = self.seen[target["function"]]
        if key in seen or self._is_full(target):
            return
        seen.add(key)
        for name, value in arguments.items():
            self._tell(target, name, _kind(value))
        function = _public(frame)
        if function is None:
            self.emit({"kind": "lost", "target": target["function"]})
            return
        patience = max(1.0, self.end - fork.now()) + self.spec["deadline_seconds"]
        done = fork.in_child(
            lambda: self._answers(function, frame.f_code, arguments, target, key), patience
        )
        if done is not True:
            self.emit({"kind": "lost", "target": target["function"]})

    def _answers(
        self,
        function: Callable[..., Any],
        code: types.CodeType,
        arguments: dict[str, Any],
        target: dict[str, Any],
        key: str,
    ) -> bool:
        """Runs in a child: nothing it does to the arguments is seen by the test."""
        sys.settrace(None)
        threading.settrace(None)
        inputs = neighbours(arguments, self.spec["inputs"], self.spec["seed"])
        try:
            # What cannot be copied may still be read twice: a connection, a lock.
            made = [(one, copy.deepcopy(one), copy.deepcopy(one)) for one in inputs]
        except Exception:
            made = [(arguments, arguments, arguments)]
        end = min(self.end, fork.now() + self.spec["seconds"] / SHARES)
        for number, (shown, first, second) in enumerate(made):
            if number and fork.now() > end:
                break
            before = observe(first)
            one = self._answer(function, code, first)
            again = self._answer(function, code, second)
            line = {"target": target["function"], "key": key, "input": number, "before": before}
            same = one == again
            self.emit({"kind": "answer", **line, "shown": _show(shown), **one, "again": same})
        return True

    def _answer(
        self, function: Callable[..., Any], code: types.CodeType, given: dict[str, Any]
    ) -> dict[str, Any]:
        positional, named = _call_shape(code, given)
        try:
            if threading.current_thread() is threading.main_thread():
                with deadline(self.spec["deadline_seconds"]):
                    value = _finish(function(*positional, **named))
            else:
                value = _finish(function(*positional, **named))
        except SelfdriveDeadline:
            return {"how": "hung"}
        except BaseException as error:  # SystemExit too is an answer of the product
            return {"how": "raised", "type": type(error).__qualname__}
        return {"how": "returned", "value": observe(value), "after": observe(given)}


def _public(frame: types.FrameType) -> Callable[..., Any] | None:
    """Return what callers get under the function's name: its decorators are part of it."""
    holder: Any = sys.modules.get(frame.f_globals.get("__name__", ""))
    *outer, last = frame.f_code.co_qualname.split(".")
    for name in outer:
        holder = getattr(holder, name, None)
    found = vars(holder).get(last) if holder is not None and hasattr(holder, "__dict__") else None
    found = getattr(found, "__func__", found)  # a static or class method, as plain as its code
    return found if callable(found) else None


def _kind(value: Any) -> str:
    """Return a type's name, with those of the elements of a container."""
    kind = type(value)
    name = qualified(kind)
    if kind in (list, tuple, set, frozenset):
        return f"{name}[{_elements(value)}]"
    return name


def _elements(value: Any) -> str:
    try:
        some = [one for one, _ in zip(value, range(ELEMENTS), strict=False)]
    except TypeError:
        return "?"
    return "|".join(sorted({_kind(one) for one in some}))
