"""Real SDKs against a real receiver process: each thing that they send ends as a row."""

import base64
import gzip
import json
import subprocess
import sys
from urllib.parse import urlencode

import httpx2
import pytest
from fakes.receiving import receiving

# ---- Sentry: sessions, feedback, logs, metrics

SENTRY_CLIENT = """
import sys, sentry_sdk
from sentry_sdk.envelope import Envelope, Item, PayloadRef
from sentry_sdk.sessions import track_session
sentry_sdk.init(dsn=sys.argv[1], release="shop@2", environment="prod", enable_logs=True,
                auto_session_tracking=True, auto_enabling_integrations=False)
sentry_sdk.set_user({"id": "ada@example.com"})

with track_session(sentry_sdk.get_isolation_scope(), session_mode="application"):
    pass
for _ in range(3):
    with track_session(sentry_sdk.get_isolation_scope(), session_mode="request"):
        pass
sentry_sdk.logger.warning("card {card} expires", card="visa")
sentry_sdk.metrics.count("orders", 3, attributes={"card": "visa"})
try:
    {}["visa"]
except KeyError:
    crash = sentry_sdk.capture_exception()
report = {"event_id": crash, "name": "Ada", "email": "ada@example.com", "comments": "it broke"}
sentry_sdk.get_client().transport.capture_envelope(
    Envelope(items=[Item(payload=PayloadRef(json=report), type="user_report")]))
sentry_sdk.capture_event({"type": "feedback", "contexts": {"feedback": {
    "message": "it broke", "contact_email": "ada@example.com", "associated_event_id": crash}}})
sentry_sdk.get_client().session_flusher.flush()
sentry_sdk.flush(10)
"""


def run_client(source: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", source, *arguments], check=True, timeout=60)


def test_sentrys_sessions_feedback_logs_and_metrics_are_rows(tmp_path):
    with receiving(tmp_path) as receiver:
        run_client(SENTRY_CLIENT, receiver.dsn)
        receiver.stop()
        sessions = receiver.rows("sessions")
        logs = receiver.rows("log_events")
        (point,) = receiver.rows("metric_points")
        (crash,) = receiver.rows("exceptions")
    assert sum(row.count for row in sessions if row.session_id is None) == 3
    assert {row.status for row in sessions if row.session_id} <= {"ok", "exited", "errored"}
    assert {row.service_version for row in sessions} == {"shop@2"}
    assert ("card visa expires", "WARN") in {(row.body, row.severity_text) for row in logs}
    words = [row for row in logs if row.event_name == "user.feedback"]
    assert [row.body for row in words] == ["it broke"] * 2
    about = {json.loads(row.attributes_json)["exception.event_id"] for row in words}
    assert about == {crash.event_id}
    assert (point.metric_name, point.value, point.kind) == ("orders", 3.0, "sum")
    assert "ada@example.com" not in str([*sessions, *logs, point, crash])


# ---- PostHog

POSTHOG_CLIENT = """
import sys, posthog
client = posthog.Posthog("phc_key", host=sys.argv[1], capture_mode=sys.argv[2],
                         gzip=sys.argv[3] == "gzip", enable_exception_autocapture=False,
                         disable_geoip=True)
client.capture("checkout started", distinct_id="ada@example.com",
               properties={"$session_id": "s-1", "$current_url": "http://shop/cart?token=abc",
                           "plan": "pro"})
client.set(distinct_id="ada@example.com", properties={"name": "Ada"})
def pay(card):
    try:
        return {}[card]
    except KeyError as fault:
        raise ValueError("no gateway") from fault
try:
    pay("visa")
except ValueError as fault:
    client.capture_exception(fault, distinct_id="ada@example.com")
client.shutdown()
"""


@pytest.mark.parametrize(("mode", "packed"), [("v0", "plain"), ("v0", "gzip"), ("v1", "plain")])
def test_posthogs_events_and_exceptions_are_rows(tmp_path, mode, packed):
    with receiving(tmp_path) as receiver:
        run_client(POSTHOG_CLIENT, receiver.url, mode, packed)
        receiver.stop()
        (event,) = receiver.rows("product_events")
        (crash,) = receiver.rows("exceptions")
    assert (event.event_name, event.source, event.url_path) == (
        "checkout started", "posthog", "/cart",
    )  # fmt: skip
    assert json.loads(event.attributes_json)["plan"] == "pro"
    assert (crash.exception_type, crash.source) == ("ValueError", "posthog")
    assert [one["type"] for one in json.loads(crash.chain_json)] == ["KeyError", "ValueError"]
    assert crash.frames[-1].code_function_name == "pay"
    assert crash.enduser_pseudo_id == event.enduser_pseudo_id
    assert "ada@example.com" not in str([event, crash])


CLICK = {
    "event": "$autocapture",
    "uuid": "01936c1e-0000-7000-8000-000000000001",
    "offset": 12,
    "properties": {
        "token": "phc_key",
        "distinct_id": "7",
        "$session_id": "s-1",
        "$event_type": "click",
        "$elements_chain": 'button:attr__id="pay"text="Pay";form:attr__id="checkout"',
    },
}
SENT = json.dumps(CLICK).encode()
FORM = "application/x-www-form-urlencoded"
BROWSERS = {
    "JSON": ("/e/", "application/json", SENT),
    "a list as text": ("/i/v0/e/", "text/plain", b"[" + SENT + b"]"),
    "gzip-js": ("/i/v0/e/?compression=gzip-js", "text/plain", gzip.compress(SENT)),
    "a form with base64": (
        "/e/?compression=base64", FORM, urlencode({"data": base64.b64encode(SENT)}).encode()
    ),
    "base64 whose plus became a blank": (
        "/e/", FORM, b"data=" + base64.b64encode(SENT + b" " * 3).replace(b"+", b" "),
    ),
    "a form with JSON": ("/capture/", FORM, urlencode({"data": SENT.decode()}).encode()),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with receiving(tmp_path_factory.mktemp("shared")) as receiver:
        yield receiver


@pytest.mark.parametrize("name", BROWSERS)
def test_what_posthogs_browsers_send_is_one_click(tmp_path, name):
    path, kind, body = BROWSERS[name]
    with receiving(tmp_path) as receiver:
        answer = httpx2.post(receiver.url + path, content=body, headers={"content-type": kind})
        receiver.stop()
        (row,) = receiver.rows("product_events")
    assert answer.status_code == 200
    assert answer.json()["results"] == {CLICK["uuid"]: {"result": "ok"}}
    assert (row.event_name, row.target, row.form_id) == ("$autocapture", "pay", "checkout")
    assert row.source == "posthog"


REFUSED = {
    "no base64": ("/e/", FORM, b"data=%%%%", 400),
    "cut base64": ("/e/", FORM, b"data=" + base64.b64encode(SENT)[:20], 400),
    "no gzip": ("/e/?compression=gzip-js", "text/plain", SENT, 400),
    "a bomb": ("/e/?compression=gzip-js", "text/plain", gzip.compress(b" " * (21 * 2**20)), 413),
    "another type": ("/e/", "image/gif", SENT, 415),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrapped_otherwise_is_refused(shared, name):
    path, kind, body, status = REFUSED[name]
    answer = httpx2.post(shared.url + path, content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert httpx2.get(shared.url + "/healthz").status_code == 200


# ---- Segment

SEGMENT = {
    "/v1/track": {"type": "track", "event": "paid", "userId": "7", "messageId": "m-1"},
    "/v1/page": {"type": "page", "name": "Cart", "anonymousId": "a", "messageId": "m-2"},
    "/v1/batch": {"batch": [{"type": "screen", "name": "Cart", "userId": "7", "messageId": "m-3"}]},
}


def test_segments_calls_are_rows_and_a_repetition_is_a_duplicate(tmp_path):
    with receiving(tmp_path) as receiver:
        for _ in range(2):
            for path, body in SEGMENT.items():
                key = httpx2.BasicAuth("writekey", "")
                assert httpx2.post(receiver.url + path, json=body, auth=key).json()["success"]
        stats = receiver.stats()
        receiver.stop()
        names = [row.event_name for row in receiver.rows("product_events")]
    assert (stats["stored"], stats["duplicate"], stats["rejected"]) == (3, 3, 0)
    assert names == ["paid", "page", "screen"]


# ---- OpenTelemetry: an exception that both signals tell, and an event of the product's own

OTEL_CLIENT = """
import logging, sys
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

url = sys.argv[1]
resource = Resource.create({"service.name": "shop", "service.version": "2"})
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url + "/v1/traces")))
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=url + "/v1/logs")))
logger = logging.getLogger("shop.pay")
logger.addHandler(LoggingHandler(logger_provider=logs))
tracer = tracing.get_tracer("shop")

class PaymentError(Exception):
    pass

try:
    with tracer.start_as_current_span("POST /pay", attributes={
            "http.request.method": "POST", "url.path": "/pay", "session.id": "s-1"}):
        with tracer.start_as_current_span("charge"):
            try:
                raise PaymentError("no gateway")
            except PaymentError:
                logger.exception("payment failed")
                raise
except PaymentError:
    pass
logs.get_logger("shop").emit(event_name="checkout.started", severity_number=SeverityNumber.INFO,
                             attributes={"session.id": "s-1", "plan": "pro"})
assert tracing.force_flush() and logs.force_flush()
tracing.shutdown(); logs.shutdown()
"""


def test_an_exception_that_logger_and_both_spans_tell_counts_once(tmp_path):
    with receiving(tmp_path) as receiver:
        run_client(OTEL_CLIENT, receiver.url)
        stats = receiver.stats()
        receiver.stop()
        raised = receiver.rows("exceptions")
        (line,) = receiver.rows("log_events")
        (event,) = receiver.rows("product_events")
        spans = receiver.rows("spans")
    assert [row.name for row in spans] == ["charge", "POST /pay"]
    assert len({row.event_id for row in raised}) == 1
    assert {row.exception_type for row in raised} == {"__main__.PaymentError"}
    assert raised[0].exception_message == "no gateway"
    assert stats["received"] == stats["stored"] + stats["duplicate"] + stats["rejected"]
    assert (line.body, line.exception_type) == ("payment failed", "PaymentError")
    assert event.event_name == "checkout.started"
    assert json.loads(event.attributes_json) == {"plan": "pro"}
