"""Trace requests in OTLP/JSON, read at once into the shape of `wire.TraceRequest`.

Attributes stay bytes, as there. Protobuf's own JSON mapping knows more (snake_case names, nulls,
numbers of every spelling); a request that needs any of it is not read here.
"""

import binascii
from typing import Any, NamedTuple

import msgspec

from selfdrive_dagster.telemetry.bounds import check_json_size, check_rows

_SNAKES = tuple(
    f'"{name}"'.encode()
    for name in (
        "scope_spans",
        "trace_id",
        "span_id",
        "parent_span_id",
        "start_time_unix_nano",
        "end_time_unix_nano",
        "dropped_attributes_count",
    )
)
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
KIND_NAMES = {f"SPAN_KIND_{name}": number for number, name in enumerate(_KINDS)}
STATUS_NAMES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


class _Status(msgspec.Struct):
    code: int | str = 0
    message: str = ""


class _Span(msgspec.Struct, rename="camel", gc=False):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int | str = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[msgspec.Raw] = []
    events: list[msgspec.Raw] = []
    status: _Status | None = None


class _Scope(msgspec.Struct, rename="camel"):
    spans: list[_Span] = []


class _Resource(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = msgspec.Raw(b"{}")
    scope_spans: list[_Scope] = []


class _Request(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    resource_spans: list[_Resource] = []


class StatusTold(NamedTuple):
    """`Status` as `wire` has it."""

    code: int
    message: str


class SpanRead(NamedTuple):
    """`Span` as `wire` has it."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: int
    start_time_unix_nano: int
    end_time_unix_nano: int
    attributes: list[bytes]
    events: list[bytes]
    status: StatusTold

    def HasField(self, _name: str) -> bool:
        """Say that the status is there."""
        return True


class ScopeRead(NamedTuple):
    """`ScopeSpans` as `wire` has it."""

    spans: list[SpanRead]


class ResourceRead(NamedTuple):
    """`ResourceSpans` as `wire` has it."""

    resource: Any
    scope_spans: list[ScopeRead]


class RequestRead(NamedTuple):
    """`TraceRequest` as `wire` has it."""

    resource_spans: list[ResourceRead]


def read_traces(data: bytes, name: str) -> RequestRead | None:
    """Return a trace request, None if it is another signal's or must be read by protobuf.

    Raises TooMuch.
    """
    check_json_size(data, name)
    if any(snake in data for snake in _SNAKES):
        return None
    try:
        request = _DECODER.decode(data)
        scopes = [scope for one in request.resource_spans for scope in one.scope_spans]
        check_rows(sum(len(scope.spans) for scope in scopes), name)
        return RequestRead([_resource(one) for one in request.resource_spans])
    except (ValueError, TypeError, RecursionError, json_fault()):
        return None


_DECODER = msgspec.json.Decoder(_Request)


def json_fault() -> type[Exception]:
    """Return what protobuf raises for JSON that is not as specified."""
    from google.protobuf.json_format import ParseError

    return ParseError


def _resource(one: _Resource) -> ResourceRead:
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    scopes = [ScopeRead([_span(span) for span in scope.spans]) for scope in one.scope_spans]
    return ResourceRead(_parsed(one.resource, Resource()), scopes)


def _span(span: _Span) -> SpanRead:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    kind, status = span.kind, span.status
    return SpanRead(
        _id(span.trace_id),
        _id(span.span_id),
        _id(span.parent_span_id),
        span.name,
        kind if isinstance(kind, int) else _named(KIND_NAMES, kind),
        _whole(span.start_time_unix_nano),
        _whole(span.end_time_unix_nano),
        [bytes(raw) for raw in span.attributes],
        [_parsed(raw, Span.Event()).SerializeToString() for raw in span.events],
        _UNSET if status is None else _status(status),
    )


def _status(status: _Status) -> StatusTold:
    code = status.code
    number = code if isinstance(code, int) else _named(STATUS_NAMES, code)
    return StatusTold(number, status.message)


_UNSET = StatusTold(0, "")


def _named(names: dict[str, int], name: str) -> int:
    number = names.get(name)
    if number is None:
        raise ValueError(f"{name!r} is no name that we know")
    return number


def _whole(value: int | str) -> int:
    number = int(value)
    if not 0 <= number < 2**64:
        raise ValueError("a time that fixed64 cannot hold")
    return number


def _id(value: str) -> bytes:
    try:
        return binascii.unhexlify(value)
    except ValueError:
        return b""


def _parsed(raw: msgspec.Raw, into: Any) -> Any:
    from google.protobuf import json_format

    return json_format.ParseDict(msgspec.json.decode(raw), into, ignore_unknown_fields=True)
