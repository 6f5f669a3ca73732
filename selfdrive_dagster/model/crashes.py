"""A crash as telemetry tells it, whichever SDK sent it.

`telemetry` fills these records from Sentry events, OTLP and plain tracebacks; nothing in
them is trusted: every string may have been written by a stranger.
"""

from datetime import datetime
from typing import Any

import msgspec


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One stack frame, as reported.

    `variables` holds JSON as sent: Sentry sends reprs as strings, containers as lists and
    objects. None means the sender sent none; an empty mapping means there were none.
    """

    path: str
    function: str
    line: int
    module: str = ""
    in_app: bool | None = None
    source: str = ""
    variables: dict[str, Any] | None = None


class RaisedException(msgspec.Struct, frozen=True, kw_only=True):
    """One exception of a chain; `frames` run from the outermost call to the raise."""

    type: str
    value: str = ""
    module: str = ""
    frames: tuple[Frame, ...] = ()
    handled: bool | None = None


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request that was being served. `body` is parsed JSON, form fields, text or None."""

    method: str
    url: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """One exception event. `exceptions` run from the root cause to the one last raised."""

    event_id: str
    source: str
    exceptions: tuple[RaisedException, ...]
    timestamp: datetime | None = None
    service_name: str = ""
    service_version: str = ""
    environment: str = ""
    level: str = "error"
    transaction: str = ""
    request: HttpRequest | None = None
    user_id: str = ""
    session_id: str = ""
    trace_id: str = ""
    span_id: str = ""

    @property
    def raised(self) -> RaisedException:
        """The exception last raised: the one that reached the user."""
        return self.exceptions[-1]
