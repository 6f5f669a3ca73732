"""Record a few requests that your product answered well, so that no patch may break them.

Copy this file into your product and put it around the application:

    app.add_middleware(recorder.Asgi, path="/var/lib/shop/calls.jsonl")         # Starlette, FastAPI
    application = recorder.Asgi(application, path=...)                          # Django, ASGI
    app.wsgi_app = recorder.Wsgi(app.wsgi_app, path=...)                        # Flask, WSGI

One request in a hundred is kept, ten a minute at most: method, path, query, the type of the body
and the body itself if it is JSON or a form. Kept is only what was answered with a status below
400. Cookies, other headers and answers are never kept; what stands under the names in SECRETS is
hidden. The file is yours alone (0600); when it is full it is begun anew, and the one before stays.
"""

import contextlib
import io
import json
import os
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, quote

SECRETS = re.compile(
    r"pass|pwd|secret|token|auth|cookie|credential|api_?key|private|csrf|session_?id|salt", re.I
)
SHARE, PER_MINUTE, MOST_BYTES, MOST_BODY, DEPTH = 0.01, 10, 2**21, 10_000, 20
FORM = "application/x-www-form-urlencoded"
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


class _Book:
    """Chooses which requests are kept and writes them, one line each."""

    def __init__(self, path: str, share: float, per_minute: int, most_bytes: int) -> None:
        self._path, self._share, self._per_minute = path, share, per_minute
        self._most_bytes = most_bytes
        self._chance = random.SystemRandom()  # the product's own draws stay as they are
        self._lock = threading.Lock()
        self._minute, self._kept = 0, 0

    def wants(self, method: str) -> bool:
        """Say whether to keep this request, should it end well."""
        return method in METHODS and self._chance.random() < self._share

    def keep(self, call: dict[str, Any], kind: str, body: bytes, status: int) -> None:
        """Write one call; whatever goes wrong here stays here."""
        with contextlib.suppress(Exception):
            shown = _body(kind, body)
            query = parse_qsl(call["query"], keep_blank_values=True)
            if status >= 400 or shown is _UNKNOWN or any(SECRETS.search(k) for k, _ in query):
                return
            told = {**call, "content_type": kind, "body": shown, "status": status}
            with self._lock:
                if self._may():
                    self._write(json.dumps({"when": round(time.time()), **told}))

    def _may(self) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._kept = minute, 0
        self._kept += 1
        return self._kept <= self._per_minute

    def _write(self, line: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.getsize(self._path) + len(line) > self._most_bytes:
                os.replace(self._path, f"{self._path}.1")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        file = os.open(self._path, flags, 0o600)
        try:
            os.write(file, line.encode() + b"\n")
        finally:
            os.close(file)


_UNKNOWN = object()


def _body(kind: str, body: bytes) -> Any:
    """Return a body as JSON has it, without secrets; _UNKNOWN where it cannot be told whole."""
    if not body:
        return None
    if len(body) > MOST_BODY:
        return _UNKNOWN
    if kind == FORM:
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
        return _hidden(dict(pairs), 0) if len(dict(pairs)) == len(pairs) else _UNKNOWN
    is_json = kind == "application/json" or kind.endswith("+json")
    return _hidden(json.loads(body), 0) if is_json else _UNKNOWN


def _hidden(value: Any, depth: int) -> Any:
    if depth > DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {
            key: "[Filtered]" if SECRETS.search(key) else _hidden(one, depth + 1)
            for key, one in value.items()
        }
    return [_hidden(one, depth + 1) for one in value] if isinstance(value, list) else value


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


class Asgi:
    """Around an ASGI application; what it raises goes on as it came."""

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        path: str,
        *,
        share: float = SHARE,
        per_minute: int = PER_MINUTE,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._app, self._book = app, _Book(path, share, per_minute, most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and keep it if it was chosen and ends well."""
        if scope["type"] != "http" or not self._book.wants(scope["method"]):
            return await self._app(scope, receive, send)
        body, status = bytearray(), [500]

        async def heard() -> Scope:
            message = await receive()
            if len(body) <= MOST_BODY:
                body.extend(message.get("body", b""))
            return message

        async def told(message: Scope) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        await self._app(scope, heard, told)
        headers = {name.lower(): value for name, value in scope["headers"]}
        kind = _kind(headers.get(b"content-type", b"").decode("latin-1"))
        query = scope.get("query_string", b"").decode("latin-1")
        call = {"method": scope["method"], "path": quote(scope["path"]), "query": query}
        if headers.get(b"content-length", b"0") in (b"0", b"%d" % len(body)):
            self._book.keep(call, kind, bytes(body), status[0])
        return None


class Wsgi:
    """Around a WSGI application; what it raises goes on as it came."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        path: str,
        *,
        share: float = SHARE,
        per_minute: int = PER_MINUTE,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._app, self._book = app, _Book(path, share, per_minute, most_bytes)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request, and keep it if it was chosen and ends well."""
        if not _is_small(environ) or not self._book.wants(environ["REQUEST_METHOD"]):
            return self._app(environ, start)
        body, status = b"", [500]
        if environ.get("CONTENT_LENGTH"):
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = io.BytesIO(body)

        def told(line: str, *more: Any) -> Any:
            status[0] = int(line.split(maxsplit=1)[0])
            return start(line, *more)

        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")) or "/"
        call = {
            "method": environ["REQUEST_METHOD"],
            "path": quote(path.encode("latin-1")),
            "query": environ.get("QUERY_STRING", ""),
        }
        kind = _kind(environ.get("CONTENT_TYPE") or "")
        return _Ending(
            self._app(environ, told), lambda: self._book.keep(call, kind, body, status[0])
        )


def _is_small(environ: dict[str, Any]) -> bool:
    """Say whether the body can be read before the application does: short, of a told length."""
    length = environ.get("CONTENT_LENGTH") or "0"
    in_pieces = "HTTP_TRANSFER_ENCODING" in environ
    return not in_pieces and length.isdecimal() and int(length) <= MOST_BODY


class _Ending:
    """An answer that says when it was sent whole."""

    def __init__(self, answer: Iterable[bytes], ended: Callable[[], None]) -> None:
        self._answer, self._ended = answer, ended

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer
        self._ended()

    def close(self) -> None:
        if hasattr(self._answer, "close"):
            self._answer.close()
