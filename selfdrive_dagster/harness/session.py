"""What every pytest session in the sandbox shares: arguments, deadlines, exceptions as records.

Runs with the product's interpreter: standard library and pytest only, Python 3.9 and later.
Belongs here: what `suite` and the fork server both need. Does not belong: any judgement.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Any

import pytest

MESSAGE_LIMIT = 2_000
FRAME_LIMIT = 200
CHAIN_LIMIT = 10

NEUTRALISED = (
    ("xdist", ("-n0",)),
    ("pytest_cov", ("--no-cov",)),
    ("pytest_rerunfailures", ("--reruns=0",)),
    ("pytest_randomly", ("--randomly-seed=0", "--randomly-dont-reorganize")),
)
"""Options that switch a plugin off, for each plugin that the product's environment holds.

Blocking the plugin instead would turn its options in the product's settings into errors.
"""

PLAIN = "--assert=plain"
"""Asserts as Python has them: rewriting the tests for better words takes longer than they do."""


class SelfdriveDeadline(BaseException):
    """A test ran past its deadline. Not an Exception, so that the product cannot swallow it."""


def arguments(args: list[str], cwd: str) -> list[str]:
    """Return the product's pytest arguments with ours behind them: one process, no traces left."""
    cache = os.path.join(tempfile.gettempdir(), f"selfdrive-cache-{os.getpid()}")
    ours = [
        f"--rootdir={cwd}",
        "--tb=no",
        "--continue-on-collection-errors",
        "-o",
        f"cache_dir={cache}",
    ]
    for module, switches in NEUTRALISED:
        if importlib.util.find_spec(module) is not None:
            ours.extend(switches)
    return [*args, *ours]


def settle(config: Any) -> None:
    """Undo what the product's settings ask for and a complete record cannot bear.

    The session must not stop at the first failure, and the plugin `pytest-timeout` must not
    take the alarm clock that `deadline` needs.
    """
    config.option.maxfail = 0
    for name in ("timeout", "pytest_timeout"):
        plugin = config.pluginmanager.get_plugin(name)
        if plugin is not None:
            config.pluginmanager.unregister(plugin)


class Unreported:
    """A plugin that ends a session where its report would begin.

    Nobody reads that report, and some plugins import half of themselves to write theirs: a second
    of each session where hypothesis is installed.
    """

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Leave when every other plugin has finished; the exit status stays as it is."""
        if session.testscollected:  # what pytest says of an empty session is worth reading
            pytest.exit("the report is left out")


@contextmanager
def deadline(seconds: float | None, computing: float | None = None) -> Iterator[None]:
    """Raise SelfdriveDeadline in the main thread after `seconds`, and each second after that.

    `computing` bounds the processor time of this process too, which a busy machine does not use up.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise SelfdriveDeadline("still running after its deadline")

    alarms = [(signal.SIGALRM, signal.ITIMER_REAL, seconds)]
    if computing:
        alarms.append((signal.SIGPROF, signal.ITIMER_PROF, computing))
    before = [(number, signal.signal(number, ring)) for number, _, _ in alarms]
    for _, clock, left in alarms:
        signal.setitimer(clock, left, 1.0)
    try:
        yield
    finally:
        for _, clock, _ in alarms:
            signal.setitimer(clock, 0.0)
        for number, handler in before:
            signal.signal(number, handler)


def qualified(kind: type) -> str:
    """Return `module.Class`, or the bare name of a builtin."""
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def describe(raised: BaseException, cwd: str) -> dict[str, Any]:
    """Return an exception as a record: type, mro, message, frames, and its chain of causes.

    `chain` holds what it came from: causes, contexts and the members of groups, nearest first.
    """
    record = _alone(raised, cwd)
    record["chain"] = [_alone(one, cwd) for one in chain(raised)[1:]]
    return record


def _alone(raised: BaseException, cwd: str) -> dict[str, Any]:
    try:
        message = str(raised)
    except Exception:  # a product's __str__ may raise anything
        message = "<its message could not be read>"
    return {
        "type": qualified(type(raised)),
        "mro": [qualified(kind) for kind in type(raised).__mro__ if kind is not object],
        "message": message[:MESSAGE_LIMIT],
        "frames": frames(raised.__traceback__, cwd),
    }


def chain(raised: BaseException) -> list[BaseException]:
    """Return an exception and what it came from, nearest first, CHAIN_LIMIT of these at most."""
    found = [raised]
    waiting = [raised]
    while waiting and len(found) <= CHAIN_LIMIT:
        one = waiting.pop(0)
        members = getattr(one, "exceptions", ())
        nearer = [one.__cause__, one.__context__, *(members if isinstance(members, tuple) else ())]
        for other in nearer:
            if isinstance(other, BaseException) and all(other is not one for one in found):
                found.append(other)
                waiting.append(other)
    return found[: CHAIN_LIMIT + 1]


def frames(traceback: TracebackType | None, cwd: str) -> list[dict[str, Any]]:
    """Return the frames of a traceback, outermost first; paths inside `cwd` become relative.

    Of a very deep traceback the innermost FRAME_LIMIT frames are kept.
    """
    found = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        line = traceback.tb_lineno or 0
        found.append(
            {"path": relative(code.co_filename, cwd), "line": line, "function": name_of(code)}
        )
        traceback = traceback.tb_next
    return found[-FRAME_LIMIT:]


def relative(path: str, cwd: str) -> str:
    """Return `path` relative to `cwd` with forward slashes, or unchanged when outside."""
    inside = os.path.realpath(path) if os.path.isabs(path) else path
    if inside.startswith(cwd + os.sep):
        inside = os.path.relpath(inside, cwd)
    return inside.replace(os.sep, "/")


def name_of(code: CodeType) -> str:
    """Return the qualified name of a code object; before Python 3.11 only its own name."""
    return getattr(code, "co_qualname", code.co_name)
