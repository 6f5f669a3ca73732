"""From the file of the opt-in recorder to the good calls in it.

`selfdrive_dagster/hooks/recorder.py` writes one JSON object a line. The file lies where the
product runs, so nothing in it is trusted: it is redacted again, and what does not fit is left out.
Belongs here: reading lines. Does not belong: finding the file, sending a call again.
"""

from typing import Any
from urllib.parse import unquote_plus

import msgspec

from selfdrive_dagster.model import GoodCall, HttpRequest, digest
from selfdrive_dagster.telemetry.bounds import mapping, text, whole
from selfdrive_dagster.telemetry.redact import Redactor

MOST_CALLS = 30
MOST_LINE_CHARS = 64_000
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def read_calls(data: bytes, redactor: Redactor) -> tuple[GoodCall, ...]:
    """Return the newest MOST_CALLS different calls, oldest first; unreadable lines are left out."""
    found: dict[str, GoodCall] = {}
    for line in reversed(data.splitlines()):
        call = _read(line, redactor) if len(line) <= MOST_LINE_CHARS else None
        if call is not None:
            found.setdefault(digest(call), call)
        if len(found) == MOST_CALLS:
            break
    return tuple(reversed(found.values()))


def _read(line: bytes, redactor: Redactor) -> GoodCall | None:
    try:
        said = mapping(msgspec.json.decode(line))
    except (msgspec.DecodeError, RecursionError):
        return None  # torn by a full disk, or no line of ours
    method, url = text(said.get("method")).upper(), _url(said)
    status = whole(said.get("status")) or 0
    if method not in METHODS or not url or not 200 <= status < 400:
        return None
    if any(redactor.text(one) != one for one in (url, unquote_plus(url))):
        return None  # an address that holds something secret cannot be asked again
    kind = text(said.get("content_type"))[:100]
    request = HttpRequest(
        method=method,
        url=url,
        headers=(("content-type", kind),) if kind else (),
        body=redactor.value(said.get("body")),
    )
    return GoodCall(request=request, status=status)


def _url(said: dict[str, Any]) -> str:
    path, query = text(said.get("path")), text(said.get("query"))
    is_local = path.startswith("/") and not path.startswith("//") and len(path + query) <= 2_000
    return f"{path}?{query}" if is_local and query else path if is_local else ""
