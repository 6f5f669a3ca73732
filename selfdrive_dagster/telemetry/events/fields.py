"""Where the senders of product events put each field of a row; the tables, and looking it up."""

from collections.abc import Mapping
from typing import Any

from selfdrive_dagster.telemetry.bounds import mapping, text

Path = tuple[str, ...]

FIELDS: Mapping[str, tuple[Path, ...]] = {
    "event_name": (("event",), ("event_name",), ("name",)),
    "timestamp": (("timestamp",), ("originalTimestamp",), ("time",), ("sentAt",)),
    "user": (
        ("distinct_id",),
        ("properties", "distinct_id"),
        ("userId",),
        ("user_id",),
        ("properties", "user_id"),
        ("anonymousId",),
        ("anonymous_id",),
    ),
    "session": (
        ("properties", "$session_id"),
        ("session_id",),
        ("sessionId",),
        ("context", "sessionId"),
        ("properties", "session_id"),
    ),
    "url": (("properties", "$current_url"), ("context", "page", "url"), ("properties", "url"),
            ("url",)),
    "path": (("properties", "$pathname"), ("context", "page", "path"), ("properties", "path"),
             ("url_path",), ("path",), ("properties", "$screen_name")),
    "target": (("properties", "target"), ("target",), ("properties", "$el_text"),
               ("properties", "element_id"), ("properties", "element")),
    "tag": (("properties", "tag_name"), ("properties", "element_type"), ("tag_name",)),
    "form": (("properties", "form_id"), ("properties", "$form_id"), ("form_id",),
             ("properties", "form"), ("form",), ("properties", "form_name")),
    "named": (("uuid",), ("messageId",), ("message_id",)),
    "service": (("service",), ("properties", "service"), ("context", "app", "name")),
    "version": (("context", "app", "version"), ("properties", "$app_version"), ("release",),
                ("service_version",)),
    "environment": (("environment",), ("properties", "environment")),
}  # fmt: skip
"""Field of a row → where senders put it; the first that is there wins."""

DEAD = (("properties", "is_dead"), ("properties", "dead"), ("is_dead",))
STAYS = ("form", "form_id", "$form_id", "form_name")
"""Properties that stay among the attributes although they have a column."""

NO_PROPERTIES = frozenset({
    "event", "event_name", "name", "type", "properties", "context", "integrations", "traits",
    "token", "api_key", "batch", "uuid", "messageId", "message_id", "distinct_id", "userId",
    "user_id", "anonymousId", "anonymous_id", "session_id", "sessionId", "timestamp", "time",
    "originalTimestamp", "sentAt", "receivedAt", "channel", "writeKey", "offset", "$set",
    "$set_once", "service", "environment", "release", "service_version", "url", "url_path",
    "path", "target", "tag_name", "is_dead", "version", "options",
    "window_id", "created_at", "_metadata", "library", "library_version",
})  # fmt: skip
"""Entries of an event itself that are no properties of it; a plain event may have others there."""

DROPPED = ("token", "$ip", "$elements", "$elements_chain", "$set", "$set_once", "distinct_id")
"""Properties that tell nothing of a use, or more than we keep."""

KINDS = {"page": "page", "screen": "screen"}
"""Segment's types of use → how such an event is called; its own `name` is the page's."""

PERSONS = ("identify", "alias", "group", "$identify", "$create_alias", "$groupidentify", "$set")


def first(event: dict[str, Any], field: str) -> Any:
    """Return what the first place that holds something for a field holds, else None."""
    found = (at(event, path) for path in FIELDS[field])
    return next((one for one in found if text(one)), None)


def at(value: Any, path: Path) -> Any:
    """Return what stands at a path of names, None where nothing does."""
    for name in path:
        value = mapping(value).get(name)
    return value
