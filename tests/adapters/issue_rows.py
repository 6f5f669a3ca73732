"""Exception rows for tests: made from crashes as the telemetry stage makes them."""

from datetime import UTC, datetime, timedelta

from selfdrive_dagster.model import Crash, Frame, RaisedException, canonical, digest
from selfdrive_dagster.telemetry.rows import ExceptionRow, SpanRow

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)

FUNCTIONS = ("total", "checkout", "price", "search", "login")


def crash_of(
    function: str = "total",
    *,
    ago: timedelta = timedelta(minutes=5),
    user: str = "",
    session: str = "",
    trace: str = "",
    source: str = "sentry",
    ordinal: int = 0,
    level: str = "error",
    handled: bool | None = False,
    service: str = "shop",
    kind: str = "KeyError",
) -> Crash:
    when = NOW - ago
    return Crash(
        event_id=digest([source, function, when.isoformat(), user, session, ordinal]),
        source=source,
        exceptions=(
            RaisedException(
                type=kind,
                value=f"item {ordinal} is not there",
                frames=(
                    Frame(path="/app/shop/views.py", function="handle", line=10),
                    Frame(path="/app/shop/cart.py", function=function, line=20 + ordinal % 7),
                ),
                handled=handled,
            ),
        ),
        timestamp=when,
        service_name=service,
        service_version="1.0",
        level=level,
        user_id=user,
        session_id=session,
        trace_id=trace,
    )


def row_of(crash: Crash, received_at: datetime = NOW) -> ExceptionRow:
    assert crash.timestamp is not None
    return ExceptionRow(
        event_id=crash.event_id,
        source=crash.source,
        timestamp=crash.timestamp,
        received_at=received_at,
        service_name=crash.service_name,
        service_version=crash.service_version or None,
        trace_id=crash.trace_id or None,
        session_id=crash.session_id or None,
        enduser_pseudo_id=crash.user_id or None,
        severity_text=crash.level.upper(),
        exception_type=crash.raised.type,
        exception_message=crash.raised.value,
        handled=crash.raised.handled,
        chain_json="[]",
        crash_json=canonical(crash).decode(),
    )


def span_of(
    at: datetime, ordinal: int, *, user: str | None = None, failed: bool = False
) -> SpanRow:
    return SpanRow(
        event_id=digest(["span", at.isoformat(), ordinal]),
        source="otlp",
        timestamp=at,
        received_at=at,
        service_name="shop",
        service_version=None,
        deployment_environment_name=None,
        trace_id=f"{ordinal:032x}",
        span_id=f"{ordinal:016x}",
        parent_span_id=None,
        session_id=None,
        enduser_pseudo_id=user,
        name="GET /",
        kind="SERVER",
        duration_ms=3.5,
        status_code="ERROR" if failed else "OK",
    )
