"""A stand-in for Sentry's API: a project's events in pages, with limits, faults and all.

It keeps to what the public documentation says: newest first, `start` and `end`, a cursor
`0:<offset>:0` in a Link header that always has both directions, Bearer tokens.
"""

import contextlib
import http.server
import json
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

NOW = datetime.now(UTC).replace(microsecond=0)


def event(number, minutes_ago=None, **said):
    """Return an event as the API tells it, `full=true`."""
    when = NOW - timedelta(minutes=number if minutes_ago is None else minutes_ago)
    frame = {"filename": "shop/pay.py", "absPath": "/srv/shop/pay.py", "function": "pay",
             "lineNo": 7, "inApp": True, "vars": {"mail": "'ada@example.com'"},
             "context": [[7, "return GATEWAYS[card]"]]}  # fmt: skip
    value = {"type": "KeyError", "value": f"'n{number}'", "stacktrace": {"frames": [frame]}}
    return {
        "id": f"{number:032x}",
        "eventID": f"{number:032x}",
        "dateCreated": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "platform": "python",
        "entries": [{"type": "exception", "data": {"values": [value]}}],
        "tags": [{"key": "release", "value": "shop@2"}, {"key": "environment", "value": "prod"}],
        "user": {"email": "ada@example.com"},
        **said,
    }


class SentryApi:
    """The server's side: `events` it holds, `faults` it answers first, what it was `asked`."""

    def __init__(self, events=(), token="secret-token"):
        self.events = list(events)
        self.faults = []
        self.asked = []
        self.token = token
        self.on_page = lambda number: None
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def page(self, query):
        """Return (events of the page, cursor of the next or "")."""
        begin, end = (
            datetime.fromisoformat(query[name]).replace(tzinfo=UTC) for name in ("start", "end")
        )
        inside = [one for one in self.events if begin <= when(one) <= end]
        inside.sort(key=when, reverse=True)
        offset = int(query.get("cursor", "0:0:0").split(":")[1])
        size = int(query["per_page"])
        more = f"0:{offset + size}:0" if offset + size < len(inside) else ""
        return inside[offset : offset + size], more


def when(one):
    return datetime.fromisoformat(one["dateCreated"])


@contextlib.contextmanager
def sentry_api(events=(), token="secret-token"):
    """Run the API on a free port."""
    api = SentryApi(events, token)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            api.asked.append((parts.path, query, self.headers.get("Authorization")))
            if api.faults:
                api.faults.pop(0)(self, query)
            elif self.headers.get("Authorization") != f"Bearer {api.token}":
                answer(self, 401, b'{"detail": "Invalid token"}')
            elif parts.path != "/api/0/projects/acme/shop/events/":
                answer(self, 404, b'{"detail": "The requested resource does not exist"}')
            else:
                found, more = api.page(query)
                answer(self, 200, json.dumps(found).encode(), Link=link(api.url, more))
                api.on_page(len(api.asked))

        def log_message(self, *_):
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


def answer(handler, status, body=b"{}", cut=0, **headers):
    """Answer a request; `cut` bytes of the body stay away."""
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body[: len(body) - cut])
    handler.close_connection = True


def link(url, more):
    """Return the header as Sentry writes it: both directions, and whether they hold anything."""
    there = "true" if more else "false"
    return (
        f'<{url}/api/0/x/?&cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1", '
        f'<http://elsewhere.invalid/?&cursor={more}>; rel="next"; results="{there}"; '
        f'cursor="{more or "0:100:0"}"'
    )


def fault(status, **headers):
    """Return an answer that is a fault."""
    return lambda handler, query: answer(handler, status, **headers)


def cut(handler, query):
    """Break off in the body."""
    answer(handler, 200, b"[" + b" " * 1000 + b"]", cut=500, Link=link("http://x", ""))


def hang_up(handler, query):
    """Close without a word."""
    handler.close_connection = True
