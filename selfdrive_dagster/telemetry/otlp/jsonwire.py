"""Trace requests in OTLP/JSON, read at once into columns; attributes stay bytes.

Protobuf's own JSON mapping knows more (snake_case names, nulls, numbers of every spelling, fields
that came later); a request that needs any of it is not read here.
"""

import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from selfdrive_dagster.telemetry.bounds import check_json_size, check_rows
from selfdrive_dagster.telemetry.otlp.columns import UNSET, Part, SpanColumns, Status, by_field

_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
KIND_NAMES = {f"SPAN_KIND_{name}": number for number, name in enumerate(_KINDS)}
STATUS_NAMES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}

_UNREAD = msgspec.Raw(b"null")
_NONE = msgspec.Raw(b"[]")


class _Told(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """What stands in a request, under the names of trace.proto. Trees only, so no cycles."""


class _Status(_Told, gc=False):
    code: int | str = 0
    message: str = ""


class _Span(_Told, gc=False):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int | str = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: msgspec.Raw = _NONE
    events: list[msgspec.Raw] = []
    status: _Status | None = None
    trace_state: msgspec.Raw = _UNREAD
    flags: msgspec.Raw = _UNREAD
    links: msgspec.Raw = _UNREAD
    dropped_attributes_count: msgspec.Raw = _UNREAD
    dropped_events_count: msgspec.Raw = _UNREAD
    dropped_links_count: msgspec.Raw = _UNREAD


class _Scope(_Told):
    spans: list[_Span] = []
    scope: msgspec.Raw = _UNREAD
    schema_url: msgspec.Raw = _UNREAD


class _Resource(_Told):
    resource: msgspec.Raw = msgspec.Raw(b"{}")
    scope_spans: list[_Scope] = []
    schema_url: msgspec.Raw = _UNREAD


class _Request(_Told):
    resource_spans: list[_Resource] = []


_DECODER = msgspec.json.Decoder(_Request)


def read_traces(data: bytes, name: str) -> list[Part] | None:
    """Return a trace request, None if it is another signal's or must be read by protobuf.

    Raises TooMuch.
    """
    check_json_size(data, name)
    try:
        request = _DECODER.decode(data)
        scopes = [scope for one in request.resource_spans for scope in one.scope_spans]
        check_rows(sum(len(scope.spans) for scope in scopes), name)
        return [_part(one) for one in request.resource_spans]
    except (ValueError, TypeError, RecursionError, json_fault()):
        return None


def json_fault() -> type[Exception]:
    """Return what protobuf raises for JSON that is not as specified."""
    from google.protobuf.json_format import ParseError

    return ParseError


def _part(one: _Resource) -> Part:
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    fields = by_field(one.scope_spans)
    columns = _columns(*fields) if fields else SpanColumns()
    return Part(_parsed(one.resource, Resource()), columns)


def _columns(
    trace_ids: Sequence[str],
    span_ids: Sequence[str],
    parents: Sequence[str],
    names: Sequence[str],
    kinds: Sequence[int | str],
    starts: Sequence[int | str],
    ends: Sequence[int | str],
    attributes: Sequence[msgspec.Raw],
    events: Sequence[Sequence[msgspec.Raw]],
    statuses: Sequence[_Status | None],
) -> SpanColumns:
    return SpanColumns(
        _ids(trace_ids, 32),
        _ids(span_ids, 16),
        _ids(parents, 16),
        names,
        [_number(KIND_NAMES, kind) for kind in kinds],
        _times(starts),
        _times(ends),
        list(map(bytes, attributes)),
        [_events(raws) if raws else () for raws in events],
        [_status(one) if one else UNSET for one in statuses],
    )


def _ids(sent: Sequence[str], digits: int) -> list[str | None]:
    zeros = "0" * digits
    told = sent if _are_hex(sent) else [_hex(one) for one in sent]
    return [one if len(one) == digits and one != zeros else None for one in told]


def _are_hex(ids: Sequence[str]) -> bool:
    """Say whether all are lower-case hex, as most SDKs write ids."""
    together = "".join(ids)
    try:
        return binascii.unhexlify(together).hex() == together
    except ValueError:
        return False


def _hex(one: str) -> str:
    try:
        return binascii.unhexlify(one).hex()
    except ValueError:
        return ""


def _times(sent: Sequence[int | str]) -> list[int]:
    times = list(map(int, sent))
    if not 0 <= min(times) <= max(times) < 2**64:
        raise ValueError("a time that fixed64 cannot hold")
    return times


def _status(status: _Status) -> Status:
    return _number(STATUS_NAMES, status.code), status.message


def _number(numbers: dict[str, int], told: int | str) -> int:
    if isinstance(told, int):
        return told
    number = numbers.get(told)
    if number is None:
        raise ValueError(f"{told!r} is no name that we know")
    return number


def _events(raws: Sequence[msgspec.Raw]) -> list[bytes]:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    return [_parsed(raw, Span.Event()).SerializeToString() for raw in raws]


def _parsed(raw: msgspec.Raw, into: Any) -> Any:
    from google.protobuf import json_format

    return json_format.ParseDict(msgspec.json.decode(raw), into, ignore_unknown_fields=True)
