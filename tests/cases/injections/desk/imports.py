"""Tickets that come as text from other systems."""

import json

FIELDS = ("title", "text", "priority")
EMPTY = {}


def fields(text):
    """Return the fields of a ticket that others may set."""
    found = json.loads(text)
    return {name: found[name] for name in FIELDS if name in found}


def title(text):
    """Return the title of a ticket, nothing if it cannot be read."""
    try:
        return json.loads(text)["title"]
    except ValueError:
        return ""
