"""Weeks of the shop's traffic in seconds: real journeys through the real shop, placed in time.

The shop of `examples/shop` (without its seeded defects) runs in this process and every journey
of its `traffic.py` walks through it; what it answered is the pool. Visits from the pool are then
placed over weeks that follow day and night, with lognormal times, product events beside each
request and some of the noise that every product has. Times are made up, paths and answers are not.
"""

import importlib.util
import math
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from selfdrive_dagster.model import digest
from selfdrive_dagster.telemetry.rows import LogEventRow, MetricPointRow, ProductEventRow, SpanRow

SHOP = Path(__file__).resolve().parents[1] / "examples" / "shop"
NOW = datetime(2026, 11, 27, 15, 40, tzinfo=UTC)
DAYS = 30
VISITS_AN_HOUR = 9.0
FORMS = {
    "POST /sign-in": "sign-in",
    "POST /checkout": "checkout",
    "POST /products/{id:int}/reviews": "review",
}


class Step(NamedTuple):
    """One request of a visit, as the shop answered it."""

    method: str
    route: str
    path: str
    status: int


class Visit(NamedTuple):
    """A visit at a time of ours: who, when, and what was asked with seconds since the start."""

    session: str
    user: str | None
    start: datetime
    steps: tuple[tuple[float, Step], ...]


class Rows(msgspec.Struct, kw_only=True):
    """Rows by table."""

    spans: list[SpanRow] = []
    product_events: list[ProductEventRow] = []
    log_events: list[LogEventRow] = []
    metric_points: list[MetricPointRow] = []
    exceptions: list[Any] = []
    test_results: list[Any] = []


def walked(rounds: int = 12) -> list[tuple[Step, ...]]:
    """Return what each journey met in a fresh shop, a dozen times with other choices."""
    sys.path.insert(0, str(SHOP))
    from shop.app import create_app
    from starlette.routing import Match
    from starlette.testclient import TestClient

    spec = importlib.util.spec_from_file_location("traffic", SHOP / "traffic.py")
    assert spec and spec.loader
    traffic = importlib.util.module_from_spec(spec)
    sys.modules["traffic"] = traffic
    spec.loader.exec_module(traffic)

    def route_of(application: Any, method: str, path: str) -> str:
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        found = (r.path for r in application.routes if r.matches(scope)[0] is Match.FULL)
        return f"{method} {next(found, path)}"

    pool = []
    for seed in range(rounds):
        for journey, share in traffic.JOURNEYS:
            application = create_app()
            client = TestClient(application, raise_server_exceptions=False)
            walk = journey(random.Random(seed))
            ask, steps = next(walk), []
            while True:
                answer = client.request(ask.method, ask.path, json=ask.body, params=ask.query)
                route = route_of(application, ask.method, ask.path)
                steps.append(Step(ask.method, route, ask.path, answer.status_code))
                told = answer.headers.get("content-type", "").startswith("application/json")
                try:
                    ask = walk.send(
                        traffic.Answer(answer.status_code, answer.json() if told else None)
                    )
                except StopIteration:
                    break
            pool += [tuple(steps)] * share
    return pool


def visits(pool: list[tuple[Step, ...]], chance: random.Random) -> Iterator[Visit]:
    """Yield the visits of DAYS days up to NOW: more by day than by night, fewer at weekends."""
    begin = NOW - timedelta(days=DAYS)
    for at in range(DAYS * 24):
        hour = begin + timedelta(hours=at)
        daily = 1 + 0.7 * math.sin((hour.hour - 8) / 24 * 2 * math.pi)
        wanted = VISITS_AN_HOUR * daily * (0.7 if hour.weekday() >= 5 else 1.0)
        for _ in range(poisson(chance, wanted)):
            start = hour + timedelta(seconds=chance.uniform(0, 3600))
            name = f"{chance.getrandbits(48):012x}"
            user = f"u{chance.randrange(400)}" if chance.random() < 0.5 else None
            seconds, steps = 0.0, []
            for step in chance.choice(pool):
                steps.append((seconds, step))
                seconds += 2 + chance.expovariate(1 / 20)
            yield Visit(name, user, start, tuple(steps))


def poisson(chance: random.Random, mean: float) -> int:
    """Return a Poisson draw (Knuth's way: small means only)."""
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count


BASE_MS = {
    "GET /": 15.0,
    "POST /checkout": 110.0,
    "GET /products": 45.0,
    "GET /orders/export": 160.0,
}


def time_of(route: str, chance: random.Random) -> float:
    """Return how long a request takes in ms."""
    return BASE_MS.get(route, 30.0) * math.exp(chance.gauss(0, 0.35))


def told(visit: Visit, chance: random.Random) -> Rows:
    """Return what the telemetry of a visit holds, noise included."""
    rows = Rows()
    for seconds, step in visit.steps:
        at = visit.start + timedelta(seconds=seconds)
        if at >= NOW:
            break
        status = 503 if chance.random() < 0.001 else step.status
        rows.spans.append(span(visit, at, step, status, time_of(step.route, chance)))
        rows.product_events += events(visit, at, step, chance)
    return rows


def span(visit: Visit, at: datetime, step: Step, status: int, ms: float, **more: Any) -> SpanRow:
    """Return the server span of a request."""
    values: dict[str, Any] = {
        "event_id": digest(["span", visit.session, at.isoformat(), step.route, status]),
        "source": "otlp",
        "timestamp": at,
        "received_at": at,
        "service_name": "shop",
        "service_version": "1.0",
        "deployment_environment_name": None,
        "trace_id": digest([visit.session, at.isoformat()])[:32],
        "span_id": digest([visit.session, at.isoformat()])[:16],
        "parent_span_id": None,
        "session_id": visit.session,
        "enduser_pseudo_id": visit.user,
        "name": step.route,
        "kind": "SERVER",
        "duration_ms": ms,
        "status_code": "ERROR" if status >= 500 else "UNSET",
        "http_request_method": step.method,
        "http_response_status_code": status,
        "http_route": step.route.partition(" ")[2],
        "url_path": step.path,
    }
    return SpanRow(**{**values, **more})


def events(visit: Visit, at: datetime, step: Step, chance: random.Random) -> list[ProductEventRow]:
    """Return the product events around a request: a page seen, or a form filled in and sent."""
    if step.method == "GET":
        return [event(visit, at, "$pageview", step.path)]
    page, form = step.path, FORMS.get(step.route)
    click = event(visit, at - timedelta(seconds=0.3), "click", page, target=step.route)
    if form is None:
        return [click]
    fills = [
        event(visit, at - timedelta(seconds=ago), "form_change", page, form=form, target=field)
        for ago, field in ((1.5, "first field"), (1.0, "second field"))
    ]
    sent = event(visit, at - timedelta(seconds=0.1), "form_submit", page, form=form)
    return [*fills, click, sent]


def event(
    visit: Visit, at: datetime, name: str, page: str, *, target: str | None = None, form: str = ""
) -> ProductEventRow:
    """Return one product event."""
    return ProductEventRow(
        event_id=digest(["event", visit.session, at.isoformat(), name, target]),
        source="events",
        timestamp=at,
        received_at=at,
        service_name="shop",
        service_version="1.0",
        session_id=visit.session,
        enduser_pseudo_id=visit.user,
        event_name=name,
        url_path=page,
        target=target,
        form_id=form or None,
    )


def log(at: datetime, body: str, visit: Visit | None = None) -> LogEventRow:
    """Return a log record at the level ERROR."""
    return LogEventRow(
        event_id=digest(["log", at.isoformat(), body]),
        source="otlp",
        timestamp=at,
        received_at=at,
        service_name="shop",
        severity_number=17,
        severity_text="ERROR",
        logger_name="shop",
        session_id=visit.session if visit else None,
        enduser_pseudo_id=visit.user if visit else None,
        body=body,
    )


def metric(at: datetime, name: str, value: float, instance: str = "shop-1") -> MetricPointRow:
    """Return a point of a gauge."""
    return MetricPointRow(
        event_id=digest(["metric", at.isoformat(), name, instance]),
        source="otlp",
        timestamp=at,
        received_at=at,
        service_name="shop",
        service_version="1.0",
        service_instance_id=instance,
        metric_name=name,
        kind="gauge",
        value=value,
    )


def joined(parts: list[Rows]) -> Rows:
    """Return all rows of all parts."""
    whole = Rows()
    for part in parts:
        for name in Rows.__struct_fields__:
            getattr(whole, name).extend(getattr(part, name))
    return whole
