"""The receiver with unmodified SDKs as clients, and with clients that mean no good."""

import gzip
import http.client
import json
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
import zlib

import brotli
import httpx2
import pytest
from fakes.receiving import ReceiverProcess, receiving, upstream

from selfdrive_dagster.model import digest

PROTOBUF = {"content-type": "application/x-protobuf"}

SENTRY_CLIENT = """
import sys, sentry_sdk
# Without the integrations of whatever this test's environment happens to hold: a second or six.
sentry_sdk.init(dsn=sys.argv[1], release="shop@2", environment="prod", traces_sample_rate=1.0,
                auto_enabling_integrations=False)
sentry_sdk.set_user({"id": "42", "email": "joe@example.com"})
sentry_sdk.set_tag("session.id", "s-1")

def pay(card, password):
    headers = [("Cookie", "sid=verysecret")]
    return {}[card]

with sentry_sdk.start_transaction(name="POST /pay", op="http.server"):
    with sentry_sdk.start_span(op="db", description="select"):
        pass
try:
    pay("visa", "hunter22")
except KeyError:
    sentry_sdk.capture_exception()
sentry_sdk.capture_message("said joe@example.com")
sentry_sdk.flush(10)
"""

OTEL_CLIENT = """
import sys, logging
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

url, compression = sys.argv[1], Compression(sys.argv[2])
resource = Resource.create({"service.name": "shop", "service.version": "2",
                            "deployment.environment": "prod"})
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(
    OTLPSpanExporter(endpoint=url + "/v1/traces", compression=compression)))
tracer = tracing.get_tracer("shop")
try:
    with tracer.start_as_current_span("POST /pay", attributes={
            "http.method": "POST", "url.path": "/pay", "session.id": "s-1", "enduser.id": "42"}):
        {}["visa"]
except KeyError:
    pass
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(
    OTLPLogExporter(endpoint=url + "/v1/logs", compression=compression)))
logger = logs.get_logger("shop")
for _ in range(2):
    logger.emit(timestamp=1_770_000_000_000_000_000, body="the same line, joe@example.com")
reader = PeriodicExportingMetricReader(
    OTLPMetricExporter(endpoint=url + "/v1/metrics", compression=compression))
metering = MeterProvider(resource=resource, metric_readers=[reader])
metering.get_meter("shop").create_counter("orders", unit="1").add(3, {"card": "visa"})
metering.get_meter("shop").create_histogram("wait", unit="ms").record(7.5)
assert tracing.force_flush() and logs.force_flush() and metering.force_flush()
tracing.shutdown(); logs.shutdown(); metering.shutdown()
"""


def run_client(source, *arguments):
    subprocess.run([sys.executable, "-c", source, *arguments], check=True, timeout=60)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One receiver for all tests that do not count or kill."""
    with receiving(tmp_path_factory.mktemp("shared")) as receiver:
        yield receiver


def envelope(number, event_id=None):
    event = {
        "event_id": event_id or f"{number:032x}",
        "platform": "python",
        "exception": {"values": [{"type": "ValueError", "value": f"n {number}"}]},
    }
    body = json.dumps(event).encode()
    head = json.dumps({"type": "event", "length": len(body)}).encode()
    return b"\n".join([b"{}", head, body, b""])


# ---- unmodified SDKs


def test_the_sentry_sdk_is_received_redacted_and_counted(tmp_path):
    with receiving(tmp_path) as receiver:
        run_client(SENTRY_CLIENT, receiver.dsn)
        stats = receiver.stats()
        assert stats["received"] == stats["stored"] + stats["duplicate"] + stats["rejected"]
        assert stats["stored"] == 4
        assert receiver.stop() == 0
        (row,) = receiver.rows("exceptions")
        assert (row.exception_type, row.service_version) == ("KeyError", "shop@2")
        assert (row.service_name, row.deployment_environment_name) == ("shop", "prod")
        assert len(row.enduser_pseudo_id) == len(row.session_id) == 32
        assert [span.name for span in receiver.rows("spans")] == ["POST /pay", "select"]
        assert [log.body for log in receiver.rows("log_events")] == ["said [email]"]
        assert {one.service_version for one in receiver.rows("deployments")} == {"shop@2"}
    stored = b"".join(path.read_bytes() for path in receiver.directory.glob("*.seg"))
    for secret in (b"joe@example.com", b"hunter22", b"verysecret", b'"42"', b'"s-1"'):
        assert secret not in stored


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_opentelemetry_sdk_is_received(tmp_path, compression):
    with receiving(tmp_path) as receiver:
        run_client(OTEL_CLIENT, receiver.url, compression)
        receiver.stop()
        (row,) = receiver.rows("exceptions")
        assert (row.exception_type, row.exception_message) == ("KeyError", "'visa'")
        assert (row.http_request_method, row.url_path) == ("POST", "/pay")
        assert row.frames[-1].code_function_name == "<module>"
        assert row.handled is None  # the SDK says escaped=False even when it left the span
        (span,) = receiver.rows("spans")
        assert (span.status_code, span.kind) == ("ERROR", "INTERNAL")
        assert (span.session_id, span.enduser_pseudo_id) == (row.session_id, row.enduser_pseudo_id)
        lines = receiver.rows("log_events")
        assert [line.body for line in lines] == ["the same line, [email]"] * 2
        assert len({line.event_id for line in lines}) == 2
        points = {point.metric_name: point for point in receiver.rows("metric_points")}
        assert (points["orders"].value, points["orders"].kind) == (3.0, "sum")
        assert (points["wait"].value, points["wait"].count) == (7.5, 1)


# ---- answers


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "reason"),
    [
        ("/v1/traces", PROTOBUF, b"junk", 400, "in protobuf"),
        ("/v1/traces", {"content-type": "text/html"}, b"x", 415, "Content-Type 'text/html'"),
        ("/v1/traces", {"content-type": "application/json"}, b"{", 400, "truncated"),
        ("/v1/traces", {"content-type": "application/json"}, b"[1]", 400, "no JSON object"),
        ("/v1/logs", {"content-type": "application/json"}, b'{"resourceLogs":3}', 400, "OTLP JSON"),
        ("/v1/profiles", PROTOBUF, b"", 404, "No signal"),
        ("/v1/logs", {**PROTOBUF, "content-encoding": "zstd"}, b"x", 415, "Content-Encoding"),
        ("/v1/logs", {**PROTOBUF, "content-encoding": "gzip"}, b"some junk", 400, "not gzip"),
        (
            "/v1/logs",
            {**PROTOBUF, "content-encoding": "gzip"},
            gzip.compress(b"x" * 99, mtime=0)[:-9],
            400,
            "cut",
        ),
        ("/api/1/envelope/", {}, envelope(1)[:-30], 400, "promises"),
        ("/api/1/envelope/", {}, b"\x00\xff\x00", 400, "not JSON"),
        ("/api/1/envelope/", {"content-type": "image/png"}, b"x", 415, "image/png"),
        ("/api/1/store/", {}, b"[" * 50_000, 400, "deeper"),
        ("/api/1/store/", {}, b'{"level": NaN}', 400, "not JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(shared, path, headers, body, status, reason):
    answer = httpx2.post(shared.url + path, content=body, headers=headers)
    assert answer.status_code == status
    assert reason in answer.json()["message"]


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)],
)
def test_every_encoding_that_sdks_use_is_undone(shared, encoding, compress):
    body = compress(envelope(1000 + len(encoding)))
    answer = httpx2.post(
        shared.url + "/api/1/envelope/", content=body, headers={"content-encoding": encoding}
    )
    assert answer.status_code == 200


def test_a_span_without_an_id_is_a_partial_success(shared):
    good = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "a",
        "startTimeUnixNano": "1770000000000000000",
        "endTimeUnixNano": "1770000000100000000",
    }
    spans = [good, {**good, "traceId": "00"}]
    body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    answer = httpx2.post(shared.url + "/v1/traces", json=body).json()
    assert answer["partialSuccess"]["rejectedSpans"] == "1"
    assert "trace id" in answer["partialSuccess"]["errorMessage"]


def test_counts_add_up_over_duplicates_junk_and_restarts(tmp_path):
    with receiving(tmp_path) as receiver:
        for number in (1, 2, 2, 3, 1):
            httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(number))
        httpx2.post(receiver.url + "/api/1/envelope/", content=b"junk")
        receiver.wait_for(received=6, stored=3, duplicate=2, rejected=1)
    with receiving(tmp_path) as receiver:
        httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(3))
        receiver.wait_for(received=7, stored=3, duplicate=3, rejected=1)


# ---- hostile clients


def seconds_of_an_answer(connection):
    begun = time.perf_counter()
    connection.request("GET", "/stats")
    connection.getresponse().read()
    return time.perf_counter() - begun


def test_a_kept_connection_is_answered_as_fast_as_a_new_one(shared):
    # Nagle's delay holds an answer's second piece until the sender's late acknowledgement: 20
    # times as long as all else. SDKs keep connections, and drop events when they wait.
    kept = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=10)
    old, new = [], []
    for _ in range(40):
        fresh = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=10)
        new.append(seconds_of_an_answer(fresh))
        fresh.close()
        old.append(seconds_of_an_answer(kept))
    kept.close()
    assert statistics.median(old) < 5 * statistics.median(new)


def pour(port, size):
    """Send `size` bytes of chunked junk; return what came back, which may come early."""
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    head = (
        b"POST /api/1/envelope/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head)
        for _ in range(size // 65_536):
            connection.sendall(chunk)
        return connection.recv(1_000)


def test_a_gzip_bomb_and_endless_junk_are_refused_while_neighbours_get_200(tmp_path):
    bomb = gzip.compress(bytes(2**28), 1)  # 256 MiB in 1.2 MB
    with receiving(tmp_path) as receiver:
        httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(0))
        before = receiver.peak_bytes()
        answers = {}

        def attack():
            headers = {**PROTOBUF, "content-encoding": "gzip"}
            answers["bomb"] = httpx2.post(
                receiver.url + "/v1/traces", content=bomb, headers=headers
            )
            answers["junk"] = pour(receiver.port, 100_000_000)

        attacker = threading.Thread(target=attack)
        attacker.start()
        slowest, number = 0.0, 0
        while attacker.is_alive() or number < 20:
            number += 1
            began = time.monotonic()
            answer = httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(number))
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status_code == 200
        attacker.join()
        grown = receiver.peak_bytes() - before
    assert answers["bomb"].status_code == 413
    assert answers["bomb"].elapsed.total_seconds() < 5
    assert answers["junk"].startswith(b"HTTP/1.1 413")
    print(
        f"{number} neighbours, slowest {slowest * 1000:.0f} ms; memory grew {grown / 2**20:.0f} MiB"
    )
    assert grown < 64 * 2**20


def test_a_protobuf_bomb_is_counted_before_it_is_parsed(tmp_path):
    def field(number, body):
        size, length = len(body), bytearray()
        while size >= 128:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2]) + bytes(length) + bytes([size]) + body

    empty_spans = field(1, field(2, b"\x12\x00" * 9_000_000))
    with receiving(tmp_path) as receiver:
        httpx2.post(receiver.url + "/v1/traces", content=b"", headers=PROTOBUF)
        before = receiver.peak_bytes()
        answer = httpx2.post(receiver.url + "/v1/traces", content=empty_spans, headers=PROTOBUF)
        assert answer.status_code == 413
        assert "more than 50,000 elements" in answer.json()["message"]
        assert receiver.peak_bytes() - before < 96 * 2**20


LOGS_OF_NOTHING = b'{}\n{"type":"log"}\n{"items":[0' + b",0" * 600_000 + b"]}\n"
NAMES = ("service.name", "service.version", "deployment.environment.name")
FAT = ",".join(json.dumps({"key": name, "value": {"stringValue": "s" * 512}}) for name in NAMES)
FAT_LOGS = (
    b'{"resourceLogs":[{"resource":{"attributes":[%s]},"scopeLogs":[{"logRecords":[{}'
    % FAT.encode()
    + b",{}" * 45_000
    + b"]}]}]}"
)
SPAN_EVENTS = [{"name": "exception", "timeUnixNano": str(10**18 + at)} for at in range(128)]
SPAN = {
    "spanId": "eee19b7ec3c1b174",
    "startTimeUnixNano": "1770000000000000000",
    "endTimeUnixNano": "1770000000100000000",
    "events": SPAN_EVENTS,
}
TRACED = [{**SPAN, "traceId": f"{number:032x}"} for number in range(1, 500)]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/1/envelope/", LOGS_OF_NOTHING, "more than 50,000 elements"),
        ("/v1/logs", b'{"resourceLogs":[{}' + b",{}" * 50_000 + b"]}", "more than 50,000 elements"),
        ("/v1/logs", FAT_LOGS, "became"),
        (
            "/v1/traces",
            json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": TRACED}]}]}).encode(),
            "more than 50,000 elements",
        ),
    ],
    ids=["sentry logs", "resources", "bytes of rows", "exceptions of spans"],
)
def test_a_small_body_of_too_many_rows_is_refused_and_hides_no_neighbour(
    tmp_path, path, body, reason
):
    headers = {"content-type": "application/json"}
    with receiving(tmp_path) as receiver:
        for number in (1, 2):
            assert (
                httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(number)).status_code
                == 200
            )
            answer = httpx2.post(receiver.url + path, content=body, headers=headers, timeout=60)
            assert answer.status_code == 413
            assert reason in answer.json()["message"]
        receiver.wait_for(stored=2, rejected=2)
        receiver.stop()
        assert [row.exception_message for row in receiver.rows("exceptions")] == ["n 1", "n 2"]


def test_a_protobuf_of_many_levels_costs_no_memory(tmp_path):
    def varint(size):
        length = bytearray()
        while size >= 128:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([*length, size])

    pieces, size = [], 0
    for _ in range(300_000):
        head = b"\x22" + varint(size)
        pieces.append(head)
        size += len(head)
    deep = b"".join(reversed(pieces))
    with receiving(tmp_path) as receiver:
        httpx2.post(receiver.url + "/v1/traces", content=bytes(len(deep)), headers=PROTOBUF)
        before = receiver.peak_bytes()
        answer = httpx2.post(receiver.url + "/v1/traces", content=deep, headers=PROTOBUF)
        assert answer.status_code == 400
        assert "deeper than 100 levels" in answer.json()["message"]
        assert receiver.peak_bytes() - before < 16 * 2**20


def test_bodies_that_never_end_are_held_within_bounds_and_leave_room_for_neighbours(tmp_path):
    body = gzip.compress(bytes(19 * 2**20), 9)
    head = (
        "POST /api/1/envelope/ HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with receiving(tmp_path) as receiver:
        httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(0))
        before = receiver.peak_bytes()
        senders = []
        for _ in range(12):
            sender = socket.create_connection(("127.0.0.1", receiver.port))
            sender.sendall(head + body[:-20])
            sender.settimeout(5)
            senders.append(sender)
        answers = [sender.recv(1_000) for sender in senders[3:]]
        neighbour = httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(1))
        grown = receiver.peak_bytes() - before
        for sender in senders:
            sender.close()
        assert neighbour.status_code == 200
        assert all(answer.startswith(b"HTTP/1.1 429") for answer in answers)
        assert all(b"retry-after: 1" in answer.lower() for answer in answers)
        assert grown < 100 * 2**20
        # What was held is free again.
        deadline = time.monotonic() + 10
        whole = gzip.compress(envelope(2) + b" " * (2 * 2**20))
        headers = {"content-encoding": "gzip"}
        while time.monotonic() < deadline:
            last = httpx2.post(receiver.url + "/api/1/envelope/", content=whole, headers=headers)
            if last.status_code != 429:
                break
            time.sleep(0.05)
        assert last.status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"origin": "https://evil.example"}, 403, "Origin"),
        ({"origin": "null"}, 403, "Origin"),
        ({"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}, 403, "Origin"),
        ({"sec-fetch-site": "cross-site"}, 403, "Sec-Fetch-Site"),
        ({"host": "evil.example:4318"}, 403, "Host"),
        ({"host": "127.0.0.1.evil.example"}, 403, "Host"),
        ({"host": "[::1]:4318"}, 200, ""),
        ({"host": "LOCALHOST:4318"}, 200, ""),
        ({"host": "127.0.0.1"}, 200, ""),
        ({"sec-fetch-site": "none"}, 200, ""),
    ],
)
@pytest.mark.parametrize("path", ["/api/1/envelope/", "/api/1/store/", "/v1/logs"])
def test_a_web_page_is_no_sender(shared, path, headers, status, reason):
    bodies = {"/api/1/envelope/": envelope(7), "/api/1/store/": b'{"message":"x"}'}
    kind = "application/json" if path == "/v1/logs" else "text/plain"
    answer = httpx2.post(
        shared.url + path,
        content=bodies.get(path, b"{}"),
        headers={"content-type": kind, **headers},
    )
    assert answer.status_code == status
    assert reason in answer.json().get("message", "")


@pytest.mark.parametrize(
    "event",
    [
        b'{"message": "a \\ud800 b", "level": "info"}',
        b'{"exception": {"values": [{"value": "\\ud800"}]}, "tags": {"\\ud800": "\\udfff"}}',
        b'{"message": "\\ud800", "extra": {"n": 1%s}, "release": "\\udc00"}' % (b"0" * 30),
    ],
)
def test_a_lone_surrogate_without_an_event_id_is_stored_as_utf_8(tmp_path, event):
    with receiving(tmp_path) as receiver:
        for path, body in [
            ("/api/1/store/", event),
            ("/api/1/envelope/", b'{}\n{"type":"event"}\n' + event + b"\n"),
        ]:
            assert httpx2.post(receiver.url + path, content=body).status_code == 200
        receiver.stop()
        rows = receiver.rows("exceptions") + receiver.rows("log_events")
        assert len(rows) == 1  # the same event by both doors


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /v1/traces HTT",
        b"POST /api/1/store/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab",
    ],
)
def test_a_sender_that_never_ends_is_hung_up_on(tmp_path, begun):
    with receiving(tmp_path, request_seconds=0.5) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.port)) as slow:
            slow.settimeout(10)
            slow.sendall(begun)
            began = time.monotonic()
            try:
                assert slow.recv(100) == b""
            except ConnectionResetError:
                pass  # a hard way to hang up
            assert time.monotonic() - began < 5
        assert httpx2.get(receiver.url + "/healthz").status_code == 200


SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 11))]


@pytest.mark.parametrize("seed", SEEDS)
def test_kill_9_loses_no_acknowledged_event(tmp_path, seed):
    chance = random.Random(seed)
    receiver = ReceiverProcess(tmp_path, segment_bytes=3_000, segment_seconds=0.2)
    acknowledged = []

    def send(client):
        number = 0
        with httpx2.Client(verify=False) as http:  # no TLS here; loading roots is slow
            while True:
                number += 1
                event_id = f"{client:08x}{number:024x}"
                try:
                    answer = http.post(
                        receiver.url + "/api/1/envelope/", content=envelope(number, event_id)
                    )
                except httpx2.HTTPError:
                    return
                if answer.status_code == 200:
                    acknowledged.append(digest(["sentry", event_id]))

    clients = [threading.Thread(target=send, args=(client,)) for client in range(1, 4)]
    for client in clients:
        client.start()
    wanted = chance.randint(6, 60)  # by count, not by time: the machine may be busy
    while len(acknowledged) < wanted:
        time.sleep(0.001)
    time.sleep(chance.random() / 50)
    receiver.kill()
    for client in clients:
        client.join()
    stored = receiver.rows("exceptions")
    print(f"seed {seed}: {len(acknowledged)} acknowledged, {len(stored)} stored")
    assert len(acknowledged) > 5
    kept = {row.event_id for row in stored}
    assert len(kept) == len(stored)
    assert set(acknowledged) - kept == set()
    with receiving(tmp_path) as again:
        stats = again.stats()
        assert stats["stored"] == len(stored)


# ---- forwarding


def test_forwarding_passes_the_envelope_on_without_delaying_the_answer(tmp_path):
    with upstream(delay_seconds=1.0) as (port, taken):
        dsn = f"http://oldkey@127.0.0.1:{port}/prefix/77"
        with receiving(tmp_path, forward=dsn) as receiver:
            httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(1))
            began = time.monotonic()
            httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(2))
            assert time.monotonic() - began < 0.9
            deadline = time.monotonic() + 10
            while receiver.stats()["forward"]["sent"] < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert receiver.stats()["forward"] == {
                "sent": 2,
                "failed": 0,
                "dropped": 0,
                "waiting": 0,
            }
    path, headers, body = min(taken, key=lambda one: gzip.decompress(one[2]))
    assert path == "/prefix/api/77/envelope/"
    assert "sentry_key=oldkey" in headers["X-Sentry-Auth"]
    assert gzip.decompress(body) == envelope(1)


def test_what_came_for_store_goes_to_store_and_junk_goes_nowhere(tmp_path):
    event = b'{"message":"x","level":"info"}'
    with (
        upstream() as (port, taken),
        receiving(tmp_path, forward=f"http://k@127.0.0.1:{port}/7") as receiver,
    ):
        for path, body, status in [
            ("/api/1/envelope/", b"junk", 400),
            ("/api/1/store/", b"[1]", 400),
            ("/api/1/store/", event, 200),
        ]:
            assert httpx2.post(receiver.url + path, content=body).status_code == status
        page = {"origin": "https://evil.example"}
        httpx2.post(receiver.url + "/api/1/store/", content=event, headers=page)
        deadline = time.monotonic() + 10
        while receiver.stats()["forward"]["sent"] < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert receiver.stats()["forward"]["waiting"] == 0
    [(path, headers, body)] = taken
    assert (path, headers["Content-Type"]) == ("/api/7/store/", "application/json")
    assert gzip.decompress(body) == event


def test_a_dead_upstream_costs_nothing_but_a_count(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with receiving(tmp_path, forward=f"http://k@127.0.0.1:{port}/1") as receiver:
            answer = httpx2.post(receiver.url + "/api/1/envelope/", content=envelope(1))
            assert answer.status_code == 200
            deadline = time.monotonic() + 10
            while not receiver.stats()["forward"]["failed"] and time.monotonic() < deadline:
                time.sleep(0.05)
            assert receiver.stats()["forward"]["failed"] == 1
