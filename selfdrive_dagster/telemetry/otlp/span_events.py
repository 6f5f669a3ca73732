"""Exceptions that spans tell in their events, each counted where it was raised.

An exception that leaves a span is told by the span around it as well, a moment later. Where both
come in one request, the outer telling is an echo: it makes no row, and what the outer span says
of request and visitor is said of the inner exception too.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals
from selfdrive_dagster.telemetry.bounds import check_rows, label, text
from selfdrive_dagster.telemetry.otlp.exceptions import Place, exception_from
from selfdrive_dagster.telemetry.otlp.values import Origin, read_attributes
from selfdrive_dagster.telemetry.rows import ExceptionRow

MAX_EVENTS = 128
ECHO_NANOSECONDS = 10**9
LENT = (
    "http.request.method", "http.route", "url.full", "url.path", "url.query",
    "enduser.id", "enduser.pseudo.id", "session.id",
)  # fmt: skip
"""What an outer span says of everything inside."""


class SpanTold(msgspec.Struct, frozen=True):
    """A span with events (still bytes), what its attributes say and whose it is."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    events: Sequence[bytes]
    said: dict[str, Any]
    origin: Origin


class _Event(msgspec.Struct, frozen=True):
    """One exception event: its attributes, and whose it is beside its time."""

    told: SpanTold
    said: dict[str, Any]
    nanoseconds: int

    def key(self, span_id: str | None) -> tuple[str | None, ...]:
        """Return what an echo has in common with it; `span_id` is the span that echoes."""
        names = (text(self.said.get(f"exception.{name}")) for name in ("type", "message"))
        return (self.told.trace_id, span_id, *names)


def exceptions_of(
    told: Sequence[SpanTold], arrival: Arrival, ordinals: Ordinals
) -> Iterator[ExceptionRow]:
    """Yield the rows of the exceptions that these spans tell, without echoes."""
    events = _all_events(told)
    inner: dict[tuple[str | None, ...], list[int]] = {}
    for event in events:
        inner.setdefault(event.key(event.told.parent_span_id), []).append(event.nanoseconds)
    for times in inner.values():
        times.sort()
    echoing: dict[tuple[str, str | None], SpanTold] = {}
    raised = []
    for event in events:
        span = event.told
        if _is_echo(event.nanoseconds, inner.get(event.key(span.span_id), ())):
            echoing[span.trace_id, span.span_id] = span
        else:
            raised.append(event)
    for event in raised:
        yield _row(event, echoing, arrival, ordinals)


def _all_events(told: Sequence[SpanTold]) -> list[_Event]:
    events: list[_Event] = []
    for one in told:
        events += _events(one)
        check_rows(len(events), "The trace request")
    return events


def _events(told: SpanTold) -> Iterator[_Event]:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    for event in map(Span.Event.FromString, told.events[:MAX_EVENTS]):
        if event.name == "exception":
            yield _Event(told, read_attributes(event.attributes), event.time_unix_nano)


def _is_echo(nanoseconds: int, inner: Sequence[int]) -> bool:
    """Say whether the same was told inside at most ECHO_NANOSECONDS before; `inner` is sorted."""
    at = bisect_left(inner, nanoseconds - ECHO_NANOSECONDS)
    return at < len(inner) and inner[at] <= nanoseconds


def _row(
    event: _Event,
    echoing: dict[tuple[str, str | None], SpanTold],
    arrival: Arrival,
    ordinals: Ordinals,
) -> ExceptionRow:
    span = event.told
    place = Place(
        signal="traces",
        trace_id=span.trace_id,
        span_id=span.span_id,
        nanoseconds=event.nanoseconds,
        transaction=label(span.name),
        around={**_lent(span, echoing), **span.said},
    )
    return exception_from(event.said, place, event.told.origin, arrival, ordinals)


MAX_OUTER = 32


def _lent(span: SpanTold, echoing: dict[tuple[str, str | None], SpanTold]) -> dict[str, Any]:
    """Return what the spans around say that told it too, the nearest first."""
    lent: dict[str, Any] = {}
    outer = echoing.get((span.trace_id, span.parent_span_id))
    for _ in range(MAX_OUTER):
        if outer is None:
            break
        lent = {**{name: outer.said[name] for name in LENT if name in outer.said}, **lent}
        outer = echoing.get((span.trace_id, outer.parent_span_id))
    return lent
