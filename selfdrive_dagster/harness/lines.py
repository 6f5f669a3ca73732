"""Which lines of the product each test runs: `sys.monitoring` from 3.12, `sys.settrace` before.

Only files below the given sources are watched, in every thread. The product's environment
need not hold coverage.py.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any


class Lines:
    """Collects lines between `start` and `stop`; nothing is kept outside of them."""

    def __init__(self, sources: list[str], cwd: str) -> None:
        self._roots = [os.path.normpath(os.path.join(cwd, source)) for source in sources]
        self._cwd = cwd
        self._paths: dict[str, str | None] = {}
        self._seen: dict[str, set[int]] | None = None
        self._monitoring: Any = getattr(sys, "monitoring", None)

    def install(self) -> None:
        """Start to watch this thread and all threads that begin from now on."""
        if self._monitoring is None:
            threading.settrace(self._trace)
            sys.settrace(self._trace)
            return
        events = self._monitoring
        events.use_tool_id(events.PROFILER_ID, "selfdrive")
        events.register_callback(events.PROFILER_ID, events.events.LINE, self._line)
        events.set_events(events.PROFILER_ID, events.events.LINE)

    def remove(self) -> None:
        """Stop watching."""
        if self._monitoring is None:
            sys.settrace(None)
            threading.settrace(None)
            return
        self._monitoring.set_events(self._monitoring.PROFILER_ID, 0)
        self._monitoring.free_tool_id(self._monitoring.PROFILER_ID)

    def start(self) -> None:
        """Begin a new test with nothing seen."""
        self._seen = {}
        if self._monitoring is not None:
            self._monitoring.restart_events()
        else:
            sys.settrace(self._trace)  # a test may have taken the tracer away

    def stop(self) -> dict[str, list[int]]:
        """End the test: return the lines it ran, sorted, by relative path."""
        seen, self._seen = self._seen or {}, None
        return {path: sorted(lines) for path, lines in sorted(seen.items())}

    def _path(self, filename: str) -> str | None:
        if filename not in self._paths:
            real = os.path.realpath(filename)
            inside = any(real == root or real.startswith(root + os.sep) for root in self._roots)
            known = os.path.relpath(real, self._cwd).replace(os.sep, "/") if inside else None
            self._paths[filename] = known
        return self._paths[filename]

    def _note(self, path: str, line: int) -> None:
        seen = self._seen
        if seen is not None:
            seen.setdefault(path, set()).add(line)

    def _line(self, code: CodeType, line: int) -> object:
        path = self._path(code.co_filename)
        if path is not None:
            self._note(path, line)
        return self._monitoring.DISABLE

    def _trace(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        if event != "call":
            return None
        path = self._path(frame.f_code.co_filename)
        if path is None:
            return None

        def local(frame: FrameType, event: str, _arg: object) -> Callable[..., Any]:
            if event == "line":
                self._note(path, frame.f_lineno)
            return local

        return local
