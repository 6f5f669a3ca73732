"""Which lines of the product each test runs: `sys.monitoring` from 3.12, `sys.settrace` before.

Only files below the given sources are watched, in every thread. The product's environment
need not hold coverage.py.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

Tracer = Callable[[FrameType, str, Any], Any]


class Lines:
    """Collects lines between `start` and `stop`; nothing is kept outside of them."""

    def __init__(self, sources: list[str], cwd: str) -> None:
        self._roots = [os.path.normpath(os.path.join(cwd, source)) for source in sources]
        self._cwd = cwd
        self._paths: dict[str, str | None] = {}
        self._seen: dict[str, set[int]] = {}
        self._tracers: dict[str, Tracer | None] = {}
        self._whole: dict[CodeType, frozenset[int]] = {}
        self._tracing = False
        self._monitoring: Any = getattr(sys, "monitoring", None)

    def install(self) -> None:
        """Start to watch threads that begin from now on, and this one while it is in `watching`."""
        if self._monitoring is None:
            self._tracing = True
            threading.settrace(self._trace)
            return
        events = self._monitoring
        events.use_tool_id(events.PROFILER_ID, "selfdrive")
        events.register_callback(events.PROFILER_ID, events.events.LINE, self._line)
        events.set_events(events.PROFILER_ID, events.events.LINE)

    def remove(self) -> None:
        """Stop watching."""
        if self._monitoring is None:
            self._tracing = False
            sys.settrace(None)
            threading.settrace(None)
            return
        self._monitoring.set_events(self._monitoring.PROFILER_ID, 0)
        self._monitoring.free_tool_id(self._monitoring.PROFILER_ID)

    def start(self) -> None:
        """Begin a new test with nothing seen."""
        for lines in self._seen.values():
            lines.clear()
        if self._monitoring is not None:
            self._monitoring.restart_events()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch this thread: following pytest's own ways around a test takes longer than most."""
        if not self._tracing:
            yield
            return
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)

    def stop(self) -> dict[str, list[int]]:
        """End the test: return the lines it ran, sorted, by relative path."""
        return {path: sorted(lines) for path, lines in sorted(self._seen.items()) if lines}

    def _path(self, filename: str) -> str | None:
        if filename not in self._paths:
            real = os.path.realpath(filename)
            inside = any(real == root or real.startswith(root + os.sep) for root in self._roots)
            known = os.path.relpath(real, self._cwd).replace(os.sep, "/") if inside else None
            self._paths[filename] = known
        return self._paths[filename]

    def _line(self, code: CodeType, line: int) -> object:
        path = self._path(code.co_filename)
        if path is not None:
            self._seen.setdefault(path, set()).add(line)
        return self._monitoring.DISABLE

    def _trace(self, frame: FrameType, _event: str, _arg: object) -> Tracer | None:
        """Return who follows a frame; nobody where it is foreign or all its lines were seen."""
        code = frame.f_code
        try:
            tracer = self._tracers[code.co_filename]
        except KeyError:
            tracer = self._tracers[code.co_filename] = self._tracer(code.co_filename)
        if tracer is None:
            return None
        lines = self._whole.get(code) or self._lines_of(code)
        return None if lines <= self._seen[self._paths[code.co_filename] or ""] else tracer

    def _tracer(self, filename: str) -> Tracer | None:
        path = self._path(filename)
        if path is None:
            return None
        add = self._seen.setdefault(path, set()).add

        def local(frame: FrameType, event: str, _arg: object) -> Tracer:
            if event == "line":
                add(frame.f_lineno)
            return local

        return local

    def _lines_of(self, code: CodeType) -> frozenset[int]:
        """Return the lines that a whole run of some code tells of: the head of a function is none,
        or the first to be seen."""
        lines = {line for _, _, line in code.co_lines() if line}
        own = lines - {code.co_firstlineno} or lines
        self._whole[code] = frozenset(own)
        return self._whole[code]
