"""Forwarding: what came for Sentry and could be read goes on to the DSN used until now.

A bounded queue and one thread; the sender's answer never waits for it. What does not fit, or
comes while the upstream asks for a pause, is dropped and counted. No retry: the upstream sees
what it would have seen from the SDK, at best effort.
"""

import gzip
import http.client
import queue
import threading
import time
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from selfdrive_dagster.errors import BadInput

Door = Literal["envelope", "store"]
"""Sentry's two ways in: what came by one goes on by the same."""

CONTENT_TYPES: dict[Door, str] = {
    "envelope": "application/x-sentry-envelope",
    "store": "application/json",
}

MAX_WAITING = 500
MAX_WAITING_BYTES = 64 * 2**20
TIMEOUT_SECONDS = 10.0
MAX_PAUSE_SECONDS = 300.0


class Upstream(NamedTuple):
    """Where a DSN points; `path` is that of its project, a door follows."""

    is_https: bool
    host: str
    port: int
    path: str
    key: str

    @classmethod
    def parse(cls, dsn: str) -> "Upstream":
        """Read `https://<key>@<host>/<path>/<project>`. Raises BadInput without showing the key."""
        try:
            parts = urlsplit(dsn)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            parts, port = urlsplit(""), 0
        prefix, _, project = parts.path.rpartition("/")
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username:
            raise BadInput(
                "[telemetry] forward is no DSN.",
                remedy="Copy it from Sentry: https://<key>@<host>/<project>.",
            )
        path = f"{prefix}/api/{project}/"
        return cls(parts.scheme == "https", parts.hostname, port, path, parts.username)


class Forwarder:
    """Passes bodies on in the background; `sent`, `failed` and `dropped` count them."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._queue: queue.Queue[tuple[Door, bytes] | None] = queue.Queue(MAX_WAITING)
        self._waiting_bytes = 0
        self._guard = threading.Lock()  # decoders, in threads of their own, offer
        self._paused_until = 0.0
        self.sent = self.failed = self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="forwarder", daemon=True)
        self._thread.start()

    def offer(self, door: Door, body: bytes) -> None:
        """Queue one body, or drop and count it. Never blocks."""
        if time.monotonic() < self._paused_until or not self._reserve(len(body)):
            self._drop()
            return
        try:
            self._queue.put_nowait((door, body))
        except queue.Full:
            self._release(len(body))
            self._drop()

    def _drop(self) -> None:
        with self._guard:
            self.dropped += 1

    def stats(self) -> dict[str, int]:
        """Return the counts since start."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "dropped": self.dropped,
            "waiting": self._queue.qsize(),
        }

    def close(self, seconds: float = 2.0) -> None:
        """Give what waits a moment to leave."""
        try:
            self._queue.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _reserve(self, size: int) -> bool:
        with self._guard:
            if self._waiting_bytes + size > MAX_WAITING_BYTES:
                return False
            self._waiting_bytes += size
            return True

    def _release(self, size: int) -> None:
        with self._guard:
            self._waiting_bytes -= size

    def _work(self) -> None:
        while (waiting := self._queue.get()) is not None:
            door, body = waiting
            try:
                self._send(door, body)
            except (OSError, http.client.HTTPException):
                self.failed += 1
            finally:
                self._release(len(body))

    def _send(self, door: Door, body: bytes) -> None:
        kind = (
            http.client.HTTPSConnection if self._upstream.is_https else http.client.HTTPConnection
        )
        connection = kind(self._upstream.host, self._upstream.port, timeout=TIMEOUT_SECONDS)
        auth = (
            f"Sentry sentry_version=7, sentry_client=selfdrive/1, sentry_key={self._upstream.key}"
        )
        headers = {
            "Content-Type": CONTENT_TYPES[door],
            "Content-Encoding": "gzip",
            "X-Sentry-Auth": auth,
        }
        try:
            path = f"{self._upstream.path}{door}/"
            connection.request("POST", path, gzip.compress(body, 5), headers)
            answer = connection.getresponse()
            answer.read(4096)
        finally:
            connection.close()
        self._note(answer.status, answer.headers.get("Retry-After", ""))

    def _note(self, status: int, retry_after: str) -> None:
        if status < 300:
            self.sent += 1
            return
        self.failed += 1
        if status == 429:
            seconds = float(retry_after) if retry_after.isdigit() else 60.0
            self._paused_until = time.monotonic() + min(seconds, MAX_PAUSE_SECONDS)
