"""Who may speak to the receiver: SDKs may; web pages may not, nor names that lead here by trick.

A page open in a browser on this machine can post to loopback, and a name of its own can be made
to point there. Browsers say so in headers that a page cannot take off. Keys do not belong here.
"""

import ipaddress
from collections.abc import Callable, Mapping

Headers = Mapping[str, str]

RULES: tuple[tuple[Callable[[Headers], bool], str], ...] = (
    (
        lambda headers: "origin" in headers,
        "It comes from a web page (Origin): browsers may not send here, only the product itself.",
    ),
    (
        lambda headers: headers.get("sec-fetch-site", "none").lower() != "none",
        "It comes from a web page (Sec-Fetch-Site): browsers may not send here.",
    ),
)
"""What gives a browser away → the reason its sender reads."""

STRANGE_HOST = "Host is no name of this machine: send to 127.0.0.1 or localhost."


def why_refused(headers: Headers, *, is_local: bool) -> str:
    """Return why a request is not for us, "" if it is; `is_local`: we listen on loopback only."""
    for gives_away, reason in RULES:
        if gives_away(headers):
            return reason
    return STRANGE_HOST if is_local and not is_loopback(_name(headers.get("host", ""))) else ""


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name(host: str) -> str:
    """Return a Host header without its port: `[::1]:4318`, `localhost:4318`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
