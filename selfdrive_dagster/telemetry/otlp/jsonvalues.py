"""Attributes of OTLP/JSON; the plain kinds are read at once, the others by protobuf."""

from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry.bounds import label
from selfdrive_dagster.telemetry.otlp.values import MAX_ATTRIBUTES, finite, plain

_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


def raws_of_json(sent: bytes) -> list[bytes]:
    """Return up to MAX_ATTRIBUTES of an array of them, each still JSON. Raises DecodeError."""
    return [bytes(raw) for raw in _RAWS.decode(sent)[:MAX_ATTRIBUTES]]


def pair_of_json(raw: bytes) -> tuple[str, Any]:
    """Return name and value of `{"key": …, "value": {…}}`. Raises BadInput."""
    told = msgspec.json.decode(raw)
    match told:
        case {"key": str(key), "value": {"stringValue": str(value)}} if _lone(told):
            return key, value
        case {"key": str(key), "value": {"boolValue": bool(value)}} if _lone(told):
            return key, value
        case {"key": str(key), "value": {"doubleValue": float(value)}} if _lone(told):
            return key, finite(value)
    return _by_protobuf(told)


def _lone(told: dict[str, Any]) -> bool:
    return len(told) == 2 and len(told["value"]) == 1


def _by_protobuf(told: Any) -> tuple[str, Any]:
    from google.protobuf import json_format
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

    pair = KeyValue()
    try:
        json_format.ParseDict(told, pair, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(
            f"An attribute is not OTLP JSON as specified: {label(str(error))[:300]}.",
            remedy="Export it with a Collector or SDK, unchanged.",
        ) from None
    return pair.key, plain(pair.value)
