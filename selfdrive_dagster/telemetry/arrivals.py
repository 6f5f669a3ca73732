"""An arrival: when a delivery came, who hides its secrets, and how its rows get their names.

Shared by all decoders, so that one crash makes the same row whichever SDK sent it. Reading a
wire format does not belong here.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from selfdrive_dagster.model import Crash, Frame, RaisedException, canonical, digest
from selfdrive_dagster.telemetry.redact import Redactor
from selfdrive_dagster.telemetry.rows import (
    DeploymentRow,
    ExceptionRow,
    FrameRow,
    LogEventRow,
    MetricPointRow,
    ProductEventRow,
    SessionRow,
    SpanRow,
)

UNNAMED_SERVICE = "unknown_service"
"""OpenTelemetry's name for a service that does not tell its own."""

SEVERITY_NUMBERS = {
    "trace": 1,
    "debug": 5,
    "info": 9,
    "log": 9,
    "warning": 13,
    "warn": 13,
    "error": 17,
    "critical": 21,
    "fatal": 21,
}
"""Level name → OpenTelemetry severity number (logs data model, "SeverityNumber")."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances of one delivery: arrival time (UTC), redaction, default service.

    `delivery` tells one delivery from another where that is known: counts of two processes may be
    equal, and are two all the same. A file has none, so that read twice it is the same.
    """

    received_at: datetime
    redactor: Redactor = Redactor()
    service_name: str = UNNAMED_SERVICE
    delivery: str = ""

    @classmethod
    def now(cls, redactor: Redactor, service_name: str = UNNAMED_SERVICE) -> "Arrival":
        """Return an arrival at this moment."""
        return cls(received_at=datetime.now(UTC), redactor=redactor, service_name=service_name)


class Ordinals:
    """Names events: equal contents within one delivery are numbered, so they stay apart."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._moments: dict[str, dict[int, int]] = {}

    def event_id(self, *parts: object) -> str:
        """Return the sha256 over the parts and how often they were seen before."""
        key = digest(list(parts))
        self._seen[key] += 1
        return digest([key, self._seen[key] - 1])

    def place(self, moment: int, *parts: object) -> int:
        """Return the how-manieth moment of these parts this is; one told again keeps its place."""
        moments = self._moments.setdefault(digest(list(parts)), {})
        return moments.setdefault(moment, len(moments))


def sender_id(*parts: object) -> str:
    """Return an event id for what the sender itself names uniquely: no ordinal."""
    return digest(list(parts))


def exception_row(
    crash: Crash,
    arrival: Arrival,
    *,
    stacktrace: str = "",
    severity_text: str = "",
    attributes: dict[str, object] | None = None,
) -> ExceptionRow:
    """Return the row of a redacted crash."""
    level = (severity_text or crash.level or "error").lower()
    return ExceptionRow(
        event_id=crash.event_id,
        source=crash.source,
        timestamp=crash.timestamp or arrival.received_at,
        received_at=arrival.received_at,
        service_name=crash.service_name or arrival.service_name,
        service_version=crash.service_version or None,
        deployment_environment_name=crash.environment or None,
        trace_id=crash.trace_id or None,
        span_id=crash.span_id or None,
        session_id=crash.session_id or None,
        enduser_pseudo_id=crash.user_id or None,
        severity_text=level.upper(),
        severity_number=SEVERITY_NUMBERS.get(level, 17),
        exception_type=qualified_type(crash.raised),
        exception_message=crash.raised.value or None,
        exception_stacktrace=stacktrace or None,
        handled=crash.raised.handled,
        chain_json=canonical(
            [{"type": qualified_type(one), "message": one.value} for one in crash.exceptions]
        ).decode(),
        frames=tuple(frame_row(frame) for frame in crash.raised.frames),
        transaction=crash.transaction or None,
        http_request_method=(crash.request.method or None) if crash.request else None,
        url_path=(url_path(crash.request.url) or None) if crash.request else None,
        crash_json=canonical(crash).decode(),
        attributes_json=canonical(attributes or {}).decode(),
    )


def frame_row(frame: Frame) -> FrameRow:
    """Return the row of one frame; unknown becomes None."""
    return FrameRow(
        module=frame.module or None,
        code_function_name=frame.function or None,
        code_file_path=frame.path or None,
        code_line_number=frame.line or None,
        in_app=frame.in_app,
    )


def qualified_type(raised: RaisedException) -> str:
    """Return `module.Type` as OpenTelemetry writes it; builtins have no module."""
    is_bare = raised.module in ("", "builtins", "exceptions")
    return raised.type if is_bare else f"{raised.module}.{raised.type}"


def split_type(name: str) -> tuple[str, str]:
    """Return (module, type) of a qualified exception type."""
    module, _, bare = name.rpartition(".")
    return module, bare


def url_path(url: str) -> str:
    """Return the path of a URL, "" where it has none or cannot be read."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def is_library_path(path: str) -> bool | None:
    """Return True for a path of the interpreter or of an installed package, None if unknown."""
    marks = ("/site-packages/", "/dist-packages/", "/lib/python3", "<frozen ")
    return True if any(mark in path.replace("\\", "/") for mark in marks) else None


def deployments(
    rows: Iterable[
        ExceptionRow | SpanRow | LogEventRow | MetricPointRow | ProductEventRow | SessionRow
    ],
    source: str,
    arrival: Arrival,
) -> tuple[DeploymentRow, ...]:
    """Return one row per (service, environment, version) seen, with the earliest time."""
    first: dict[tuple[str, str | None, str], datetime] = {}
    for row in rows:
        if row.service_version:
            key = (row.service_name, row.deployment_environment_name, row.service_version)
            first[key] = min(row.timestamp, first.get(key, row.timestamp))
    return tuple(
        DeploymentRow(
            event_id=sender_id("deployment", service, environment, version),
            source=source,
            timestamp=when,
            received_at=arrival.received_at,
            service_name=service,
            service_version=version,
            deployment_environment_name=environment,
        )
        for (service, environment, version), when in first.items()
    )
