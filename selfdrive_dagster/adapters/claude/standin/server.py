"""The stand-in's HTTP server: one thread for each request, on loopback."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from selfdrive_dagster.adapters.claude.standin.faults import FAULTS, Broken, Status, Wrong
from selfdrive_dagster.adapters.claude.standin.obeying import obeyed
from selfdrive_dagster.adapters.claude.standin.script import Reply, Script
from selfdrive_dagster.adapters.claude.standin.wire import Said, error, events, message

PATH = "/v1/messages"
NONE: Mapping[str, str] = {}
MOST_BYTES = 8 * 2**20
CHARS_OF_A_TOKEN = 4
"""A guess, good enough for a rehearsal's bill."""


class Standin(ThreadingHTTPServer):
    """The server. `asked` are the bodies of all requests, in order."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        script: Script,
        host: str = "127.0.0.1",
        port: int = 0,
        tell: Callable[[dict[str, Any]], None] = lambda _body: None,
    ) -> None:
        super().__init__((host, port), _Handler)
        self.script, self._tell = script, tell
        self.asked: list[dict[str, Any]] = []
        self._given = [0] * len(script.reply)
        self._cached: set[str] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL must be."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def note(self, body: dict[str, Any]) -> int:
        """Keep a request and return its number."""
        with self._lock:
            self.asked.append(body)
            self._tell(body)
            return len(self.asked)

    def reply_to(self, prompt: str, wanted: str) -> Reply:
        """Return the first reply that fits and is not used up; one that holds nothing if none does.

        `wanted` is what the question asks for: `drafts` or `tests`.
        """
        with self._lock:
            for place, reply in enumerate(self.script.reply):
                left = not reply.times or self._given[place] < reply.times
                if left and reply.when in prompt and reply.answers(wanted):
                    self._given[place] += 1
                    return reply
        return Reply()

    def usage_of(self, body: dict[str, Any], said: str) -> dict[str, int]:
        """Return what a request used: the cached part is written once and read after."""
        blocks = _blocks(body)
        marked = [i for i, block in enumerate(blocks) if block.get("cache_control")]
        prefix = "".join(block["text"] for block in blocks[: marked[-1] + 1]) if marked else ""
        rest = "".join(block["text"] for block in blocks)[len(prefix) :]
        digest = hashlib.sha256(prefix.encode()).hexdigest()
        with self._lock:
            known = digest in self._cached
            self._cached |= {digest} if prefix else set()
        tokens = len(prefix) // CHARS_OF_A_TOKEN
        return {
            "input_tokens": len(rest) // CHARS_OF_A_TOKEN + 1,
            "output_tokens": len(said) // CHARS_OF_A_TOKEN + 1,
            "cache_creation_input_tokens": 0 if known else tokens,
            "cache_read_input_tokens": tokens if known else 0,
        }


def asks_for(body: dict[str, Any]) -> str:
    """Return what a question asks for: the first thing that its schema requires, else drafts."""
    form = (body.get("output_config") or {}).get("format") or {}
    return next(iter((form.get("schema") or {}).get("required") or ()), "drafts")


def _blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the text blocks of a request in the order in which a model reads them."""
    found = [body.get("system") or [], *(one.get("content") for one in body["messages"])]
    whole = [[{"text": one}] if isinstance(one, str) else one for one in found]
    return [block for part in whole for block in part if "text" in block]


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Standin
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a question."""
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length) if 0 < length <= MOST_BYTES else b"{}"
        number, body, fault = self._read(raw)
        if fault is not None:
            self._error(fault, number)
            return
        prompt = "\n".join(block["text"] for block in _blocks(body))
        reply = self.server.reply_to(prompt, asks_for(body))
        try:
            self._answer(reply, body, prompt, number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # whoever asked waits no longer

    def _read(self, raw: bytes) -> tuple[int, dict[str, Any], Status | None]:
        try:
            body = json.loads(raw)
            valid = isinstance(body["messages"], list) and body["model"] and body["max_tokens"]
        except (ValueError, KeyError, TypeError):
            body, valid = {}, False
        number = self.server.note(body)
        if self.path.partition("?")[0] != PATH:
            return number, body, Status(404, "not_found_error", "Not found")
        key = self.headers.get("authorization") or self.headers.get("x-api-key")
        if not (key and self.headers.get("anthropic-version")):
            return number, body, Status(401, "authentication_error", "a key is required")
        if not valid:
            wants = "model, max_tokens and messages are required"
            return number, body, Status(400, "invalid_request_error", wants)
        return number, body, None

    def _answer(self, reply: Reply, body: dict[str, Any], prompt: str, number: int) -> None:
        text = obeyed(prompt) if reply.obeys else reply.said(asks_for(body))
        fault = FAULTS.get(reply.fault)
        if isinstance(fault, Status):
            self._error(fault, number)
            return
        said = Said(text=text, model=body["model"], usage={})
        if isinstance(fault, Wrong):
            said = said._replace(
                text=text if fault.text is None else fault.text,
                stop=fault.stop,
                model=fault.model or said.model,
            )
        said = said._replace(usage=self.server.usage_of(body, said.text))
        stream = fault.stream if isinstance(fault, Broken) else events
        if body.get("stream") or isinstance(fault, Broken):
            breaks = isinstance(fault, Broken) and fault.breaks
            self._stream(stream(said, number), number, breaks=breaks)
        else:
            self._whole(200, message(said, number), number)

    def _error(self, fault: Status, number: int) -> None:
        told = error(fault.kind, fault.says, number, fault.code)
        headers = {"retry-after": fault.retry_after, "location": fault.location}
        said = {name: value for name, value in headers.items() if value}
        self._whole(fault.status, told, number, said)

    def _whole(
        self, status: int, body: dict[str, Any], number: int, headers: Mapping[str, str] = NONE
    ) -> None:
        data = json.dumps(body).encode()
        self.send_response(status, "" if status in set(HTTPStatus) else "Fault")
        self._head({**headers, "content-type": "application/json"}, number)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, pieces: Iterator[bytes], number: int, *, breaks: bool) -> None:
        self.close_connection = breaks
        self.send_response(200)
        wire = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
        self._head(wire, number)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        if not breaks:
            self.wfile.write(b"0\r\n\r\n")

    def _head(self, headers: dict[str, str], number: int) -> None:
        for name, value in {**headers, "request-id": f"req_standin{number}"}.items():
            self.send_header(name, value)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `asked` keeps what was asked."""


@contextmanager
def serving(
    script: Script,
    host: str = "127.0.0.1",
    port: int = 0,
    tell: Callable[[dict[str, Any]], None] = lambda _body: None,
) -> Iterator[Standin]:
    """Run a stand-in in a thread until the block ends; `tell` hears each request's body."""
    server = Standin(script, host, port, tell)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
