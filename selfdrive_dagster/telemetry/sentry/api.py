"""The event as Sentry's API returns it: the same facts in `entries`, in other spellings."""

from typing import Any

from selfdrive_dagster.telemetry.bounds import label, mapping, pairs, sequence


def is_event(value: dict[str, Any]) -> bool:
    """Say whether a JSON object is an event payload, in either shape."""
    by_entries = isinstance(value.get("entries"), list) and "eventID" in value
    marks = ("event_id", "exception", "logentry", "platform")
    is_marked = sum(name in value for name in marks) >= 2
    return by_entries or is_marked or _is_raised(value.get("exception"))


def _is_raised(sent: Any) -> bool:
    """Say whether `exception` is Sentry's: loggers put a text there, or a list of their own."""
    values = mapping(sent).get("values", sent)
    first = values[0] if isinstance(values, list) and values else values
    return bool(mapping(sent)) or "type" in mapping(first)


def from_api(event: dict[str, Any]) -> dict[str, Any]:
    """Return the payload shape of an event whose parts stand in `entries`, else it itself."""
    if not isinstance(event.get("entries"), list):
        return event
    entries = {
        label(mapping(entry).get("type")): mapping(mapping(entry).get("data"))
        for entry in event["entries"]
    }
    exceptions = sequence(mapping(entries.get("exception")).get("values"))
    tags = pairs(event.get("tags"))
    request = entries.get("request", {})
    return {
        "event_id": event.get("eventID"),
        "timestamp": event.get("dateCreated"),
        "level": tags.get("level"),
        "release": tags.get("release") or mapping(event.get("release")).get("version"),
        "environment": tags.get("environment"),
        "transaction": tags.get("transaction") or event.get("culprit"),
        "tags": tags,
        "contexts": event.get("contexts"),
        "user": event.get("user"),
        "extra": event.get("context"),
        "platform": event.get("platform"),
        "message": event.get("message"),
        "exception": {"values": [_api_exception(mapping(one)) for one in exceptions]},
        "request": {**request, "query_string": request.get("query")} if request else None,
    }


def _api_exception(one: dict[str, Any]) -> dict[str, Any]:
    frames = sequence(mapping(one.get("stacktrace")).get("frames"))
    return {**one, "stacktrace": {"frames": [_api_frame(mapping(frame)) for frame in frames]}}


def _api_frame(frame: dict[str, Any]) -> dict[str, Any]:
    line = frame.get("lineNo")
    context = (entry for entry in sequence(frame.get("context")) if isinstance(entry, list))
    return {
        **frame,
        "abs_path": frame.get("absPath"),
        "lineno": line,
        "in_app": frame.get("inApp"),
        "context_line": next((entry[1] for entry in context if entry[:1] == [line]), None),
    }
