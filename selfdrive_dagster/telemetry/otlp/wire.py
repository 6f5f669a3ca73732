"""Trace requests with their attributes left as bytes: same wire format, fewer objects.

OpenTelemetry's own messages make three objects of each attribute before we know whether we saw
it a moment ago. Here `attributes` and `events` are `repeated bytes` and `status` is `bytes`, which
protobuf writes alike (protobuf.dev, "Encoding": all are length-delimited). What the bytes of an
attribute mean is `repeated`'s.
"""

from functools import cache
from typing import Any

_RESOURCE = "opentelemetry/proto/resource/v1/resource.proto"
_HOME = ".selfdrive.otlp."

MESSAGES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "Span": (
        ("trace_id", 1, "BYTES", False),
        ("span_id", 2, "BYTES", False),
        ("parent_span_id", 4, "BYTES", False),
        ("name", 5, "STRING", False),
        ("kind", 6, "INT32", False),
        ("start_time_unix_nano", 7, "FIXED64", False),
        ("end_time_unix_nano", 8, "FIXED64", False),
        ("attributes", 9, "BYTES", True),
        ("events", 11, "BYTES", True),
        ("status", 15, "BYTES", False),
    ),
    "ScopeSpans": (("spans", 2, f"{_HOME}Span", True),),
    "ResourceSpans": (
        ("resource", 1, ".opentelemetry.proto.resource.v1.Resource", False),
        ("scope_spans", 2, f"{_HOME}ScopeSpans", True),
    ),
    "TraceRequest": (("resource_spans", 1, f"{_HOME}ResourceSpans", True),),
    "CountedScope": (("spans", 2, "BYTES", True),),
    "CountedResource": (("scope_spans", 2, f"{_HOME}CountedScope", True),),
    "CountedRequest": (("resource_spans", 1, f"{_HOME}CountedResource", True),),
}
"""Message → its fields: name, number in OpenTelemetry's trace.proto, type, repeated."""


@cache
def message(name: str) -> Any:
    """Return one of MESSAGES as a protobuf class."""
    from google.protobuf import descriptor_pool, message_factory
    from opentelemetry.proto.resource.v1 import resource_pb2  # noqa: F401  fills the pool

    pool = descriptor_pool.Default()
    pool.AddSerializedFile(_described())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_HOME[1:]}{name}"))


def _described() -> bytes:
    from google.protobuf import descriptor_pb2

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="selfdrive/otlp.proto",
        package=_HOME.strip("."),
        syntax="proto3",
        dependency=[_RESOURCE],
    )
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        for field, number, kind, is_repeated in fields:
            one = made.field.add(name=field, number=number)
            one.label = kinds.LABEL_REPEATED if is_repeated else kinds.LABEL_OPTIONAL
            one.type = kinds.TYPE_MESSAGE if kind[0] == "." else kinds.Type.Value(f"TYPE_{kind}")
            if kind[0] == ".":
                one.type_name = kind
    described: bytes = file.SerializeToString()
    return described


def count_spans(data: bytes) -> int:
    """Return how many spans a request holds, without parsing one. Raises DecodeError."""
    counted = message("CountedRequest").FromString(data)
    return sum(len(scope.spans) for one in counted.resource_spans for scope in one.scope_spans)
