"""OpenTelemetry's wire format: traces, logs and metrics, as protobuf and as OTLP/JSON.

Specification: opentelemetry-proto 1.x. Protobuf is imported when first needed, because `repair`
must start at once. HTTP does not belong here.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals
from selfdrive_dagster.telemetry.bounds import check_rows, label, mapping, parse_json, text
from selfdrive_dagster.telemetry.otlp.counting import (
    JSON_PATHS,
    check_counts,
    check_json_counts,
)
from selfdrive_dagster.telemetry.otlp.exceptions import once
from selfdrive_dagster.telemetry.otlp.jsonwire import read_traces
from selfdrive_dagster.telemetry.otlp.logs import decode_logs
from selfdrive_dagster.telemetry.otlp.metrics import decode_metrics
from selfdrive_dagster.telemetry.otlp.traces import decode_parts, decode_traces
from selfdrive_dagster.telemetry.otlp.wire import message
from selfdrive_dagster.telemetry.rows import Records, join

SIGNALS = ("traces", "logs", "metrics")


def decode_protobuf(signal: str, data: bytes, name: str, arrival: Arrival) -> Records:
    """Return the rows of an `Export{Trace,Logs,Metrics}ServiceRequest`. Raises BadInput."""
    from google.protobuf.message import DecodeError

    try:
        check_counts(signal, data, name)
        request = _wire_type(signal).FromString(data)
        records = _DECODERS[signal](request, arrival, Ordinals())
    except DecodeError:
        raise BadInput(
            f"{name} is no OTLP {signal} request in protobuf, or it was cut.",
            remedy="Send it unchanged, with Content-Type application/x-protobuf.",
        ) from None
    check_rows(records.count(), name)
    return records


def decode_json_body(data: bytes, name: str, arrival: Arrival) -> Records:
    """Return the rows of an OTLP/JSON request. Raises BadInput that names `name`.

    Traces are read at once; what that way does not know is left to `decode_json`.
    """
    parts = read_traces(data, name)
    if parts is None:
        value = parse_json(data, name)
        if not isinstance(value, dict):
            raise BadInput(f"{name} is no JSON object.")
        return decode_json(value, name, arrival)
    try:
        return decode_parts(parts, arrival, Ordinals(), wire="json")
    except (msgspec.DecodeError, RecursionError):
        return decode_json(mapping(parse_json(data, name)), name, arrival)


def decode_json(
    value: dict[str, Any], name: str, arrival: Arrival, ordinals: Ordinals | None = None
) -> Records:
    """Return the rows of one parsed OTLP/JSON object, whichever signals it holds.

    Raises BadInput that names `name` if it does not follow the protobuf JSON mapping.
    """
    from google.protobuf import json_format

    names = ordinals or Ordinals()
    parts = []
    for signal in SIGNALS:
        for key in value.keys() & set(JSON_PATHS[signal][0]):
            check_json_counts(signal, value, name)
            body = {key: _with_base64_ids(value[key])}
            request = _request_type(signal)()
            try:
                json_format.ParseDict(body, request, ignore_unknown_fields=True)
            except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
                raise BadInput(
                    f"{name} is not OTLP JSON as specified: {label(str(error))[:300]}.",
                    remedy="Export it with a Collector or SDK, unchanged.",
                ) from None
            if signal == "traces":
                request = message("TraceRequest").FromString(request.SerializeToString())
            parts.append(_DECODERS[signal](request, arrival, names))
    whole = join(parts)
    check_rows(whole.count(), name)
    return msgspec.structs.replace(whole, exceptions=once(whole.exceptions))


def _wire_type(signal: str) -> Any:
    return message("TraceRequest") if signal == "traces" else _request_type(signal)


def _request_type(signal: str) -> Any:
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    types: dict[str, Any] = {
        "traces": trace_service_pb2.ExportTraceServiceRequest,
        "logs": logs_service_pb2.ExportLogsServiceRequest,
        "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    }
    return types[signal]


_ID_FIELDS = frozenset(
    {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}
)


def _with_base64_ids(value: Any) -> Any:
    """Turn hex ids to base64: OTLP/JSON departs from the protobuf JSON mapping in just this."""
    if isinstance(value, dict):
        return {
            key: _base64_id(inner) if key in _ID_FIELDS else _with_base64_ids(inner)
            for key, inner in value.items()
        }
    return [_with_base64_ids(inner) for inner in value] if isinstance(value, list) else value


def _base64_id(value: Any) -> str:
    try:
        return base64.b64encode(binascii.unhexlify(text(value))).decode()
    except (binascii.Error, ValueError):
        return ""


_DECODERS: dict[str, Callable[[Any, Arrival, Ordinals], Records]] = {
    "traces": decode_traces,
    "logs": decode_logs,
    "metrics": decode_metrics,
}


def export_response(
    signal: str, rejected: int, reasons: tuple[str, ...], *, as_json: bool
) -> bytes:
    """Return the Export response of a signal, with `partial_success` if any was rejected."""
    noun = {"traces": "Spans", "logs": "LogRecords", "metrics": "DataPoints"}[signal]
    message = "; ".join(dict.fromkeys(reasons))[:500]
    if as_json:
        told = {"partialSuccess": {f"rejected{noun}": str(rejected), "errorMessage": message}}
        return canonical(told if rejected else {})
    response = _response_type(signal)()
    if rejected:
        field = {"traces": "spans", "logs": "log_records", "metrics": "data_points"}[signal]
        setattr(response.partial_success, f"rejected_{field}", rejected)
        response.partial_success.error_message = message
    encoded: bytes = response.SerializeToString()
    return encoded


def _response_type(signal: str) -> Any:
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    types: dict[str, Any] = {
        "traces": trace_service_pb2.ExportTraceServiceResponse,
        "logs": logs_service_pb2.ExportLogsServiceResponse,
        "metrics": metrics_service_pb2.ExportMetricsServiceResponse,
    }
    return types[signal]
