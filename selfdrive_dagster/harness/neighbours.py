"""Run base and patch side by side on real calls and on their neighbours.

The product's tests run on the base tree; whenever one enters a function that a variant
changes, the living call is studied: its arguments are perturbed, and base and every variant
answer the same inputs in forks. Answers are testimony; the host judges them.

Spec: `path`, `variants` [{id, source}], `node_ids` (`failing` of the reproducer first), `args`,
`exception_type` (bare name) that the base is known to raise, `calls` studied at most, `inputs`
of the reproducer's call, `seed`, `deadline_seconds` an answer, `seconds` in all.
Emits {"kind": "neighbour", "test", "call", "input", "shown", "base": answer,
"variants": {id: answer}}, where an answer is {"how": returned | raised | hung | died | unstable |
unsettled | unasked, "value", "type", "where"}; {"kind": "cold", "id"} for a variant that cannot be
swapped in; {"kind": "asking", "id"} before a variant ("" for the base) is asked, so that the host
knows who was at work should everything end; {"kind": "lost", "test"} for a study that died; and
{"kind": "end", "exit"}. *Unsettled* is a difference that there was no time to confirm.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any

import pytest

from . import fork, live
from .fragments import Edit, compile_pair, edit_of, layout
from .observe import observe
from .perturb import neighbours
from .running import run_session
from .session import SelfdriveDeadline, deadline, settle
from .trial import read_text

Emit = Callable[[dict[str, Any]], None]
Answer = dict[str, Any]
Variant = dict[str, str]
SHOWN = 300  # characters of a value that an answer carries
ITEMS = 1000  # items taken of a generator
OF_REPRODUCER = 8  # calls of one failing test: the one that fails is its last
UNASKED: Answer = {"how": "unasked"}
UNSETTLED: Answer = {"how": "unsettled"}


def main(spec: dict[str, Any], emit: Emit) -> int:
    """Run the named tests on the base tree and study the calls they make."""
    code = run_session(spec["node_ids"], spec.get("args", []), Laboratory(spec, emit))
    emit({"kind": "end", "exit": code})
    return code


class Laboratory:
    """A pytest plugin that stops at the calls worth studying."""

    def __init__(self, spec: dict[str, Any], emit: Emit) -> None:
        self.spec = spec
        self.emit = emit
        self.end = fork.now() + spec["seconds"]
        self.base = layout(spec["path"], read_text(spec["path"]))
        self.targets: set[tuple[str, int]] = set()
        self.variants: list[Variant] = []
        self.calls: dict[str, int] = {}
        self.seen: set[str] = set()
        self.alive: live.Alive = {}
        self.test = ""
        self.studying = threading.Lock()

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Undo settings that end a session early."""
        settle(config)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the wanted tests, in the wanted order: the reproducer is studied first."""
        place = {node_id: number for number, node_id in enumerate(self.spec["node_ids"])}
        items[:] = sorted((i for i in items if i.nodeid in place), key=lambda i: place[i.nodeid])

    def pytest_collection_finish(self) -> None:
        """Find the functions that the variants change."""
        for variant in self.spec["variants"]:
            try:
                pairs = list(live.changed_code(*compile_pair(self.base, self._edit(variant))))
            except live.Cold:
                self.emit({"kind": "cold", "id": variant["id"]})
                continue
            self.variants.append(variant)
            self.targets |= {(code.co_qualname, code.co_firstlineno) for code, _ in pairs}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Watch the calls of one test, in every thread it starts."""
        self.test = item.nodeid
        threading.settrace(self._watch)
        sys.settrace(self._watch)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def _watch(self, frame: types.FrameType, event: str, _arg: Any) -> None:
        code = frame.f_code
        if (code.co_qualname, code.co_firstlineno) not in self.targets:
            return
        if code.co_filename != os.path.abspath(self.spec["path"]):
            return
        if event != "call" or frame.f_lineno != code.co_firstlineno:
            return  # a generator that goes on is no new call
        with self.studying:
            self._study(frame)

    def _study(self, frame: types.FrameType) -> None:
        arguments = _arguments(frame)
        what = f"{frame.f_code.co_qualname} {observe(arguments)}"
        done = self.calls.get(self.test, 0)
        most = OF_REPRODUCER if self.test in self.spec["node_ids"][: self.spec["failing"]] else 3
        if what in self.seen or sum(self.calls.values()) >= self.spec["calls"] or done >= most:
            return
        if self._is_over():
            return
        self.seen.add(what)
        self.calls[self.test] = done + 1
        function = _function_of(frame, self.alive)
        if function is None:  # the first call, or a closure that was made since the last walk
            self.alive = live.living(self.spec["path"])
            function = _function_of(frame, self.alive)
        if function is None:
            return
        left = max(1.0, self.end - fork.now())
        share = self.spec["inputs"] if self.test == self.spec["node_ids"][0] else 24
        patience = left + 3 * self.spec["deadline_seconds"] + 5
        done = fork.in_child(lambda: self._experiment(function, arguments, share), patience)
        if isinstance(done, fork.Lost):
            self.emit({"kind": "lost", "test": self.test})

    def _experiment(
        self, function: types.FunctionType, arguments: dict[str, Any], share: int
    ) -> bool:
        """Runs in a child: nothing it does to the arguments is seen by the test.

        An input that cannot be made is no study; one that ends the study is a lost one.
        """
        try:
            self._answer_all(function, arguments, share)
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            return False
        return True

    def _answer_all(
        self, function: types.FunctionType, arguments: dict[str, Any], share: int
    ) -> None:
        sys.settrace(None)
        inputs = neighbours(arguments, share, self.spec["seed"])
        base = self._ask_all(function, inputs, None)
        answers = {v["id"]: self._ask_all(function, inputs, v) for v in self.variants}
        call = {"test": self.test, "call": sum(self.calls.values())}
        for index, made in enumerate(inputs):
            given = {key: answer[index] for key, answer in answers.items()}
            settled = self._settle(function, made, base[index], given)
            told = {"input": index, "shown": _show(made), "changed": _changed(inputs[0], made)}
            self.emit({"kind": "neighbour", **call, **told, **settled})

    def _settle(
        self,
        function: types.FunctionType,
        made: dict[str, Any],
        base: Answer,
        given: dict[str, Answer],
    ) -> dict[str, Any]:
        """Ask again, each in a fork of its own, wherever a variant differs from the base.

        Where the base fails as reported a difference is what the patch is for.
        """
        asked = [v for v in self.variants if UNASKED not in (base, given[v["id"]])]
        differing = [v for v in asked if given[v["id"]] != base]
        if not differing or base.get("type") == self.spec["exception_type"]:
            return {"base": base, "variants": given}
        first, again = self._ask(function, made, None), self._ask(function, made, None)
        second = {v["id"]: self._ask(function, made, v) for v in differing}
        if again == UNASKED:
            return {"base": base, "variants": {**given, **dict.fromkeys(second, UNSETTLED)}}
        settled = {k: UNSETTLED if one == UNASKED else one for k, one in second.items()}
        base = first if first == again else {"how": "unstable"}
        return {"base": base, "variants": {**given, **settled}}

    def _ask_all(
        self, function: types.FunctionType, inputs: list[dict[str, Any]], variant: Variant | None
    ) -> list[Answer]:
        """Answer all inputs in one fork, on copies; one fork an input where that fails."""

        def work() -> list[Answer]:
            self._become(variant)
            copies = [copy.deepcopy(made) for made in inputs]
            return [_answer(function, made, self.spec["deadline_seconds"]) for made in copies]

        if self._is_over():
            return [UNASKED for _ in inputs]
        answers = fork.in_child(work, patience=self.spec["deadline_seconds"] * 3)
        if isinstance(answers, fork.Lost):
            return [self._ask(function, made, variant) for made in inputs]
        return [dict(answer) for answer in answers]

    def _ask(
        self, function: types.FunctionType, made: dict[str, Any], variant: Variant | None
    ) -> Answer:
        def work() -> Answer:
            self._become(variant)
            return _answer(function, made, self.spec["deadline_seconds"])

        if self._is_over():
            return UNASKED
        answer = fork.in_child(work, patience=self.spec["deadline_seconds"] + 2)
        return {"how": answer.value} if isinstance(answer, fork.Lost) else dict(answer)

    def _is_over(self) -> bool:
        return bool(fork.now() > self.end)

    def _edit(self, variant: Variant) -> Edit:
        return edit_of(self.base.source, variant["source"])

    def _become(self, variant: Variant | None) -> None:
        self.emit({"kind": "asking", "id": "" if variant is None else variant["id"]})
        if variant is not None:
            live.swap(self.base, self._edit(variant), self.alive)


def _answer(function: types.FunctionType, arguments: dict[str, Any], seconds: float) -> Answer:
    positional, named = _call_shape(function.__code__, arguments)
    try:
        if threading.current_thread() is threading.main_thread():
            with deadline(seconds):
                value = _finish(function(*positional, **named))
        else:  # no alarm rings in another thread: the parent's patience ends it
            value = _finish(function(*positional, **named))
    except SelfdriveDeadline:
        return {"how": "hung"}
    except BaseException as error:  # SystemExit too is an answer of the product
        where = _where(error)
        return {"how": "raised", "type": type(error).__qualname__, "where": where}
    return {"how": "returned", "value": observe(value), "after": observe(arguments)}


def _finish(value: Any) -> Any:
    """Run a coroutine to its end and a generator to its items."""
    if inspect.iscoroutine(value):
        asyncio._set_running_loop(None)  # we forked inside the test's loop
        return asyncio.run(value)
    if inspect.isgenerator(value):
        return [item for _, item in zip(range(ITEMS), value, strict=False)]
    return value


def _where(error: BaseException) -> str:
    """Return `path:function` of the innermost frame below the working directory."""
    here = os.getcwd() + os.sep
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, _line in reversed(frames):
        file = frame.f_code.co_filename
        if file.startswith(here):
            return f"{os.path.relpath(file)}:{frame.f_code.co_qualname}"
    return ""


def _arguments(frame: types.FrameType) -> dict[str, Any]:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return {name: frame.f_locals[name] for name in code.co_varnames[:count]}


def _call_shape(
    code: types.CodeType, arguments: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    names = list(arguments)
    plain, keyword = code.co_argcount, code.co_kwonlyargcount
    positional = [arguments[name] for name in names[:plain]]
    named = {name: arguments[name] for name in names[plain : plain + keyword]}
    rest = names[plain + keyword :]
    if code.co_flags & inspect.CO_VARARGS:
        positional += arguments[rest.pop(0)]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        named |= arguments[rest.pop(0)]
    return positional, named


def _function_of(frame: types.FrameType, alive: live.Alive) -> types.FunctionType | None:
    """Find the living function that this frame runs, with the same closure."""
    code = frame.f_code
    key = (code.co_qualname, code.co_firstlineno)
    for function in alive.get(key, ()):
        cells = function.__closure__ or ()
        held = dict(zip(code.co_freevars, cells, strict=True))
        if all(_holds(cell, frame.f_locals.get(name)) for name, cell in held.items()):
            return function
    return None


def _holds(cell: types.CellType, value: Any) -> bool:
    try:
        return cell.cell_contents is value
    except ValueError:  # an empty cell
        return value is None


def _show(arguments: dict[str, Any]) -> str:
    parts = [f"{name}={_short(value)}" for name, value in arguments.items()]
    return ", ".join(parts)[:SHOWN]


def _changed(recorded: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """Return the arguments that differ from the recorded call's, as they are shown."""
    shown = {name: (_short(recorded[name]), _short(value)) for name, value in made.items()}
    return [f"{name}={now}" for name, (then, now) in shown.items() if now != then]


def _short(value: Any) -> str:
    try:
        return repr(value)[:120]
    except Exception:  # a stranger's __repr__ may raise anything
        return f"<{type(value).__qualname__}>"
