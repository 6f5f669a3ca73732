"""The receiver's routes: OTLP/HTTP, Sentry's ingestion and product events, as SDKs speak them.

Every delivery goes the same way: read within bounds, decode and redact, append, sync, answer.
200 means that the events are on disk. Decoding is `telemetry`'s, counting is `intake`'s.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from selfdrive_dagster.adapters.intake import Intake, Taken
from selfdrive_dagster.adapters.receiver.bodies import Grow, Refusal, read_body
from selfdrive_dagster.adapters.receiver.forward import Door, Forwarder
from selfdrive_dagster.adapters.receiver.metrics import CONTENT_TYPE, exposition
from selfdrive_dagster.adapters.receiver.quotas import MAX_SOURCES, OTHERS, OverQuota, Quotas
from selfdrive_dagster.adapters.receiver.visitors import why_refused
from selfdrive_dagster.errors import BadInput, Busy
from selfdrive_dagster.telemetry import Arrival, Records, Redactor, events, otlp, sentry
from selfdrive_dagster.telemetry.bounds import MAX_BYTES, TooMuch, hex_id, mapping, parse_json

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
SENTRY_TYPES = ("application/x-sentry-envelope", JSON, "text/plain", "application/octet-stream", "")
MAX_HELD_BYTES = 64 * 2**20
SMALL_BYTES = 2**20
KEPT_FOR_SMALL_BYTES = 16 * 2**20

EVENT_PATHS = (
    "/batch/", "/batch", "/capture/", "/capture", "/e/", "/i/v0/e/", "/i/v1/analytics/events",
    "/v1/batch", "/v1/track", "/v1/page", "/v1/screen", "/v1/identify", "/v1/alias", "/v1/group",
    "/events",
)  # fmt: skip
"""Where product events are sent: as PostHog's and Segment's libraries do, and plainly."""

Decode = Callable[[bytes, Arrival], Records]


class Desk(NamedTuple):
    """What the routes need: where events go, how they are hidden, what is taken, from whom.

    `keys` empty lets everyone in; that is for loopback only. `is_local`: we listen there only.
    """

    intake: Intake
    redactor: Redactor
    service_name: str
    accept: frozenset[str] = frozenset(("otlp", "sentry", "events"))
    forwarder: Forwarder | None = None
    keys: frozenset[str] = frozenset()
    is_local: bool = True
    max_bytes: int = MAX_BYTES
    quota_per_minute: int = 0


class _Load:
    """Bounds memory and CPU: bytes held by all requests, decoders at work.

    Bytes count from the moment they are read, and large bodies leave room for small ones. One
    decoder takes the small ones and one the large: two at the same would only wait for each other.
    """

    def __init__(self) -> None:
        self.held_bytes = 0
        self._decoders = {is_small: asyncio.Semaphore(1) for is_small in (True, False)}

    def decoder(self, size: int) -> asyncio.Semaphore:
        """Return the decoder that takes a body of so many bytes."""
        return self._decoders[size <= SMALL_BYTES]

    @contextmanager
    def holding(self) -> Iterator[Grow]:
        """Give one request a way to hold more bytes; at its end it holds none."""
        mine = 0

        def grow(size: int) -> None:
            nonlocal mine
            kept = KEPT_FOR_SMALL_BYTES if mine + size > SMALL_BYTES else 0
            if self.held_bytes + size > MAX_HELD_BYTES - kept:
                raise Busy("Too many large deliveries at once.")
            mine += size
            self.held_bytes += size

        try:
            yield grow
        finally:
            self.held_bytes -= mine


def build_app(desk: Desk) -> Starlette:
    """Return the ASGI application."""
    routes = Routes(desk)
    return Starlette(
        routes=[
            *(
                Route(path, routes.answering(format_name, handle), methods=["POST"])
                for path, format_name, handle in (
                    *((path, "events", routes.events) for path in EVENT_PATHS),
                    ("/v1/{signal}", "otlp", routes.otlp),
                    ("/api/{project}/envelope/", "sentry", routes.envelope),
                    ("/api/{project}/store/", "sentry", routes.store),
                )
            ),
            Route("/healthz", routes.health),
            Route("/stats", routes.stats),
            Route("/metrics", routes.metrics),
        ]
    )


class Routes:
    """The routes over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._load = _Load()
        self._quotas = Quotas(desk.quota_per_minute)
        self._answers: Counter[int] = Counter()
        self._over_quota: Counter[str] = Counter()

    def answering(
        self, format_name: str, handle: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a route that turns refusals, bad bodies and a full disk into answers.

        Each has a reason; a format that the settings do not accept is refused first.
        """

        async def answer(request: Request) -> Response:
            response = await answered(request)
            self._answers[response.status_code] += 1
            return response

        async def answered(request: Request) -> Response:
            try:
                self._admit(request, format_name)
                return await handle(request)
            except Refusal as refusal:
                return self._refuse(refusal.status, refusal.reason)
            except BadInput as fault:
                status = 413 if isinstance(fault, TooMuch) else 400
                return self._refuse(status, fault.message)
            except OverQuota as over:
                return _later(str(over), 429, over.seconds)
            except Busy as busy:
                return _later(busy.message, 429)
            except OSError as error:
                return _later(f"The events could not be stored: {error.strerror}.", 503)

        return answer

    def _refuse(self, status: int, reason: str) -> Response:
        try:
            self._desk.intake.refuse()
        except Busy as busy:
            return _later(busy.message, 429)
        return JSONResponse({"code": 3, "message": reason, "detail": reason}, status)

    def _admit(self, request: Request, format_name: str) -> None:
        if reason := why_refused(request.headers, is_local=self._desk.is_local):
            raise Refusal(403, reason)
        if format_name not in self._desk.accept:
            raise Refusal(404, f'[telemetry] accept does not name "{format_name}".')
        if not self._desk.keys:
            return
        given = request.headers.get("x-sentry-auth", "") + request.headers.get("authorization", "")
        words = set(given.replace(",", " ").replace("=", " ").split())
        words.add(request.query_params.get("sentry_key", ""))
        if not words & self._desk.keys:
            raise Refusal(401, "No known key: send the receiver's key as DSN key or bearer.")

    # ---- OpenTelemetry

    async def otlp(self, request: Request) -> Response:
        """Take one OTLP export and answer with the matching Export response."""
        signal = request.path_params["signal"]
        if signal not in otlp.SIGNALS:
            raise Refusal(404, f"No signal {signal[:40]!r}: use {', '.join(otlp.SIGNALS)}.")
        kind = _content_type(request)
        if kind not in (PROTOBUF, JSON):
            raise Refusal(415, f"Content-Type {kind[:60]!r}: send {PROTOBUF} or {JSON}.")

        def decode(body: bytes, arrival: Arrival) -> Records:
            if kind == PROTOBUF:
                return otlp.decode_protobuf(signal, body, "The body", arrival)
            return otlp.decode_json_body(body, "The body", arrival)

        taken, reasons = await self._take(request, signal, kind, decode)
        answer = otlp.export_response(signal, taken.tally.rejected, reasons, as_json=kind == JSON)
        return Response(answer, media_type=kind)

    # ---- Sentry

    async def envelope(self, request: Request) -> Response:
        """Take one envelope."""

        def decode(body: bytes, arrival: Arrival) -> Records:
            return sentry.decode_envelope(body, "The envelope", arrival)

        await self._take_sentry(request, "envelope", decode)
        return JSONResponse({})

    async def store(self, request: Request) -> Response:
        """Take one bare event, as old SDKs send it."""
        event_id = ""

        def decode(body: bytes, arrival: Arrival) -> Records:
            nonlocal event_id
            event = parse_json(body, "The event")
            if not isinstance(event, dict):
                raise BadInput("The event is no JSON object.")
            event_id = hex_id(event.get("event_id"), 32)
            return sentry.decode_event(mapping(event), arrival)

        await self._take_sentry(request, "store", decode)
        return JSONResponse({"id": event_id})

    async def _take_sentry(self, request: Request, door: Door, decode: Decode) -> None:
        kind = _content_type(request)
        if kind not in SENTRY_TYPES:
            raise Refusal(415, f"Content-Type {kind[:60]!r}: send application/x-sentry-envelope.")

        def decode_and_forward(body: bytes, arrival: Arrival) -> Records:
            records = decode(body, arrival)
            if self._desk.forwarder:
                self._desk.forwarder.offer(door, body)
            return records

        await self._take(request, "sentry", kind, decode_and_forward)

    # ---- product events

    async def events(self, request: Request) -> Response:
        """Take one product event or a batch of them."""
        kind = _content_type(request)
        if kind not in (JSON, FORM, "text/plain", ""):
            raise Refusal(415, f"Content-Type {kind[:60]!r}: send {JSON}.")
        named: list[str] = []

        def decode(body: bytes, arrival: Arrival) -> Records:
            value = parse_json(events.unpacked(body), "The body")
            named.extend(events.names_in(value))
            return events.decode_events(value, "The body", arrival)

        taken, reasons = await self._take(request, "events", kind, decode)
        # PostHog's newer clients want a word on each event: sending one again would not help.
        told = {"status": 1, "success": True, "rejected": taken.tally.rejected,
                "results": {name: {"result": "ok"} for name in named}}  # fmt: skip
        return JSONResponse({**told, "reasons": list(dict.fromkeys(reasons))[:5]})

    # ---- the one way

    async def _take(
        self, request: Request, signal: str, kind: str, decode: Decode
    ) -> tuple[Taken, tuple[str, ...]]:
        with self._load.holding() as grow:
            body = await read_body(request, self._desk.max_bytes, grow)
            arrival = msgspec.structs.replace(
                Arrival.now(self._desk.redactor, self._desk.service_name), delivery=uuid4().hex
            )
            async with self._load.decoder(len(body)):
                records = await asyncio.to_thread(decode, body, arrival)
            self._spend(records)
            taken = self._desk.intake.take(
                records, signal=signal, content_type=kind, arrival=arrival
            )
            await asyncio.gather(*map(asyncio.wrap_future, taken.synced))
        return taken, records.rejected

    def _spend(self, records: Records) -> None:
        if not self._desk.quota_per_minute:
            return
        sources = Counter(row.service_name for row in records.events())
        try:
            self._quotas.spend(sources)
        except OverQuota:
            for source in sources:
                is_known = source in self._over_quota or len(self._over_quota) < MAX_SOURCES
                self._over_quota[source if is_known else OTHERS] += 1
            raise

    # ---- about the receiver itself

    async def health(self, _request: Request) -> Response:
        """Say that the receiver answers."""
        return PlainTextResponse("ok\n")

    async def stats(self, _request: Request) -> Response:
        """Return the counts: events over all restarts, forwarding since start."""
        total = self._desk.intake.writer.total
        told: dict[str, object] = {"received": total.received, **total._asdict()}
        if self._desk.forwarder:
            told["forward"] = self._desk.forwarder.stats()
        return JSONResponse(told)

    async def metrics(self, _request: Request) -> Response:
        """Return the same and what goes on now, as Prometheus reads it."""
        writer = self._desk.intake.writer
        told = exposition(
            writer.total,
            self._answers,
            self._load.held_bytes,
            writer.waiting_bytes,
            self._over_quota,
        )
        return Response(told, media_type=CONTENT_TYPE)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _later(reason: str, status: int, seconds: int = 1) -> Response:
    """Return an answer after which SDKs wait: 429 for too much at once, 503 for our disk.

    OpenTelemetry's exporters send again after `Retry-After` in both cases; Sentry's SDK drops
    what it has for as long after 429, and just this one envelope after 503.
    """
    headers = {"Retry-After": str(seconds)}
    return JSONResponse({"code": 14, "message": reason, "detail": reason}, status, headers)
