"""Bodies: what a sender of product events wraps them in. HTTP itself does not belong here."""

import base64
from typing import Any
from urllib.parse import parse_qs

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry.bounds import mapping, text


def unpacked(body: bytes) -> bytes:
    """Return the JSON of a body: PostHog's browsers may send it as `data=<base64>` in a form."""
    if body[:1] in (b"{", b"[") or b"data=" not in body[:200]:
        return body
    sent = parse_qs(body, max_num_fields=10).get(b"data", [b""])[0]
    if sent[:1] in (b"{", b"["):
        return sent
    try:
        # A form reads "+" as a blank, and senders forget to write it as %2B.
        whole = sent.replace(b" ", b"+") + b"=" * (-len(sent) % 4)
        return base64.b64decode(whole, validate=True)
    except ValueError:
        raise BadInput("The form's `data` is neither JSON nor base64.") from None


def names_in(value: Any) -> list[str]:
    """Return the uuids that PostHog's clients gave their events."""
    named = (text(mapping(event).get("uuid")) for event in events_in(value))
    return [name[:64] for name in named if name]


def events_in(value: Any) -> list[Any]:
    """Return the events of a body; what Segment says around a batch holds for each in it."""
    around, sent = mapping(value), mapping(value).get("batch", value)
    if not isinstance(sent, list):
        return [sent]
    shared = mapping(around.get("context"))
    if not shared:
        return sent
    return [
        {**one, "context": {**shared, **mapping(one.get("context"))}}
        if isinstance(one, dict)
        else one
        for one in sent
    ]
