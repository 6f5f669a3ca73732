"""Payloads as a shop's instrumented service sends them, made before the clock starts.

One root span per trace with HTTP attributes, then database and internal spans. Paths and
sessions differ (a visitor makes about eight requests), so that a decoder that only remembers
what it saw pays for what is new. Numbers are seeded.
"""

import random

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROUTES = ("/products/{id}", "/cart", "/orders/{id}", "/checkout", "/search", "/account/{id}/orders")
START = 1_795_000_000_000_000_000


def request(spans: int, seed: int) -> ExportTraceServiceRequest:
    """Return an export request of so many spans; ids never repeat for different seeds."""
    draw = random.Random(seed)
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    for name, value in RESOURCE.items():
        _say(resource.resource.attributes, name, value)
    scope = resource.scope_spans.add()
    scope.scope.name = "opentelemetry.instrumentation.flask"
    trace, root, session = b"", b"", ""
    for number in range(spans):
        is_root = number % 4 == 0
        if number % 32 == 0:
            session = draw.randbytes(8).hex()
        if is_root:
            trace, root = draw.randbytes(16), draw.randbytes(8)
        span = scope.spans.add(
            trace_id=trace,
            span_id=root if is_root else draw.randbytes(8),
            parent_span_id=b"" if is_root else root,
            kind=2 if is_root else 3,
            start_time_unix_nano=START + seed * 10**9 + number * 1_000_000,
            end_time_unix_nano=START + seed * 10**9 + number * 1_000_000 + draw.randrange(10**8),
        )
        route = draw.choice(ROUTES)
        span.name = f"GET {route}" if is_root else f"SELECT shop.{draw.choice(TABLES)}"
        for name, value in (_root(route, session, draw) if is_root else _query(draw)).items():
            _say(span.attributes, name, value)
        if is_root and draw.random() < 0.02:
            span.status.code, span.status.message = 2, "upstream said 502"
    return made


RESOURCE = {
    "service.name": "shop",
    "service.version": "1.4.2",
    "deployment.environment.name": "production",
    "telemetry.sdk.language": "python",
}
TABLES = ("orders", "products", "carts", "users")


def _root(route: str, session: str, draw: random.Random) -> dict[str, str | int]:
    return {
        "http.request.method": "GET",
        "http.route": route,
        "url.path": route.replace("{id}", str(draw.randrange(100_000))),
        "url.scheme": "https",
        "http.response.status_code": draw.choice((200, 200, 200, 302, 404)),
        "server.address": "shop.example",
        "server.port": 443,
        "client.address": f"203.0.113.{draw.randrange(256)}",
        "user_agent.original": draw.choice(AGENTS),
        "session.id": session,
        "shop.experiment": draw.choice(("a", "b")),
    }


AGENTS = tuple(f"Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101" for n in range(120, 140))


def _query(draw: random.Random) -> dict[str, str | int]:
    table = draw.choice(TABLES)
    return {
        "db.system.name": "postgresql",
        "db.namespace": "shop",
        "db.collection.name": table,
        "db.operation.name": "SELECT",
        "db.query.text": f"SELECT * FROM {table} WHERE id = $1 LIMIT {draw.choice((1, 10, 50))}",
        "server.address": "db.shop.example",
        "thread.id": draw.randrange(1, 9),
    }


def _say(attributes, name: str, value: str | int) -> None:  # type: ignore[no-untyped-def]
    pair = attributes.add(key=name)
    if isinstance(value, int):
        pair.value.int_value = value
    else:
        pair.value.string_value = value


def as_json(made: ExportTraceServiceRequest) -> dict[str, object]:
    """Return a request as OTLP/JSON: the protobuf mapping with hex ids."""
    told = MessageToDict(made)
    spans = told["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for span, sent in zip(spans, made.resource_spans[0].scope_spans[0].spans, strict=True):
        span["traceId"], span["spanId"] = sent.trace_id.hex(), sent.span_id.hex()
        if sent.parent_span_id:
            span["parentSpanId"] = sent.parent_span_id.hex()
    return told  # type: ignore[no-any-return]
