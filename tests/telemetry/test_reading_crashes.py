"""The door: every format that is recognised, and a clear sentence for everything else."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Crash
from selfdrive_dagster.telemetry import Arrival, Redactor, read_crashes, read_records

CASES = Path(__file__).parent.parent / "cases" / "telemetry"

FRAME = {
    "filename": "shop/pay.py",
    "function": "pay",
    "lineno": 7,
    "module": "shop.pay",
    "in_app": True,
    "context_line": "    return GATEWAYS[card]",
    "vars": {"card": "'visa'", "mail": "'joe@example.com'"},
}
EVENT = {
    "event_id": "0123456789abcdef0123456789abcdef",
    "timestamp": "2026-03-01T10:00:00.250000Z",
    "platform": "python",
    "release": "shop@2",
    "environment": "prod",
    "level": "error",
    "transaction": "/pay",
    "exception": {
        "values": [
            {"type": "KeyError", "value": "'visa'", "stacktrace": {"frames": [FRAME]}},
            {
                "type": "PaymentError",
                "module": "shop.errors",
                "value": "no gateway",
                "mechanism": {"type": "generic", "handled": False},
                "stacktrace": {"frames": [{**FRAME, "lineno": 9}]},
            },
        ]
    },
    "request": {
        "method": "post",
        "url": "http://shop.example/pay",
        "query_string": [["token", "abc"], ["page", "2"]],
        "headers": {"Cookie": "sid=1", "Host": "shop.example"},
        "data": {"card": "visa", "password": "hunter22"},
        "cookies": {"sid": "1"},
    },
    "contexts": {"trace": {"trace_id": "ab" * 16, "span_id": "cd" * 8}},
    "user": {"id": 42, "email": "joe@example.com"},
    "tags": {"session.id": "s-1"},
}


def api_event():
    """The same event as Sentry's API returns it."""
    values = [
        {
            **one,
            "stacktrace": {
                "frames": [
                    {
                        "filename": frame["filename"],
                        "absPath": "/srv/" + frame["filename"],
                        "function": frame["function"],
                        "lineNo": frame["lineno"],
                        "module": frame["module"],
                        "inApp": True,
                        "vars": frame["vars"],
                        "context": [[frame["lineno"], frame["context_line"]]],
                    }
                    for frame in one["stacktrace"]["frames"]
                ]
            },
        }
        for one in EVENT["exception"]["values"]
    ]
    request = {**EVENT["request"], "query": EVENT["request"]["query_string"]}
    tags = {
        "session.id": "s-1",
        "release": "shop@2",
        "environment": "prod",
        "level": "error",
        "transaction": "/pay",
    }
    return {
        "eventID": EVENT["event_id"],
        "dateCreated": EVENT["timestamp"],
        "platform": "python",
        "entries": [
            {"type": "exception", "data": {"values": values}},
            {"type": "request", "data": request},
        ],
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        "contexts": EVENT["contexts"],
        "user": EVENT["user"],
    }


def envelope(with_length=True):
    body = json.dumps(EVENT).encode()
    head = {"type": "event", "length": len(body)} if with_length else {"type": "event"}
    return b'{"event_id": "x"}\n' + json.dumps(head).encode() + b"\n" + body + b"\n"


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(EVENT).encode(),
        json.dumps(EVENT, indent=2).encode(),
        b"\xef\xbb\xbf" + json.dumps([EVENT]).encode(),
        envelope(),
        envelope(with_length=False),
        json.dumps(api_event()).encode(),
    ],
    ids=["event", "indented", "list", "envelope", "envelope without length", "api"],
)
def test_one_event_in_any_shape_is_the_same_crash(data):
    (crash,) = read_crashes(data, "crash.json")
    assert [one.type for one in crash.exceptions] == ["KeyError", "PaymentError"]
    assert (crash.raised.module, crash.raised.handled) == ("shop.errors", False)
    frame = crash.exceptions[0].frames[0]
    assert (frame.path, frame.function, frame.line) == ("shop/pay.py", "pay", 7)
    assert frame.in_app is True
    assert frame.source == "    return GATEWAYS[card]"
    assert frame.variables == {"card": "'visa'", "mail": "'[email]'"}
    assert crash.request.method == "POST"
    assert crash.request.body == {"card": "visa", "password": "[secret]"}
    assert crash.request.query == "token=[secret]&page=2"
    assert dict(crash.request.headers) == {"Cookie": "[secret]", "Host": "shop.example"}
    assert (crash.user_id, crash.session_id) == ("[user]", "[session]")
    assert (crash.service_version, crash.environment) == ("shop@2", "prod")
    assert crash.trace_id == "ab" * 16
    assert crash.timestamp == datetime(2026, 3, 1, 10, 0, 0, 250_000, UTC)


def otlp_line(signal):
    said = {
        "exception.type": "shop.errors.PaymentError",
        "exception.message": "no gateway for joe@example.com",
        "exception.stacktrace": (CASES / "tracebacks" / "direct_cause.txt").read_text(),
    }
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]
    when = "1770000000000000123"
    ids = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174"}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    if signal == "traces":
        event = {"name": "exception", "timeUnixNano": when, "attributes": pairs}
        span = {
            **ids,
            "name": "POST /pay",
            "kind": 2,
            "startTimeUnixNano": when,
            "endTimeUnixNano": when,
            "events": [event],
        }
        return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    record = {**ids, "timeUnixNano": when, "body": {"stringValue": "boom"}, "attributes": pairs}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}


@pytest.mark.parametrize("signal", ["traces", "logs"])
def test_an_otlp_json_line_is_a_crash_with_a_chain(signal):
    (crash,) = read_crashes(json.dumps(otlp_line(signal)).encode() + b"\n", "otlp.jsonl")
    assert [one.type for one in crash.exceptions] == ["KeyError", "PaymentError"]
    assert crash.raised.module == "shop.errors"
    assert crash.raised.value == "no gateway for [email]"
    assert crash.raised.frames[-1].function == "pay"
    assert crash.trace_id == "5b8efff798038103d269b633813fc60c"
    assert crash.span_id == "eee19b7ec3c1b174"
    assert crash.service_name == "shop"


def test_a_span_event_and_a_log_record_of_one_exception_have_one_name():
    lines = b"\n".join(json.dumps(otlp_line(signal)).encode() for signal in ("traces", "logs"))
    first, second = read_crashes(lines, "otlp.jsonl")
    assert first.event_id == second.event_id


def test_identical_lines_of_a_log_stay_two_and_a_second_reading_names_them_alike():
    text = (CASES / "tracebacks" / "direct_cause.txt").read_bytes() * 2
    once = [crash.event_id for crash in read_crashes(text, "app.log")]
    assert len(set(once)) == 2
    assert once == [crash.event_id for crash in read_crashes(text, "other.log")]


def test_a_json_log_with_tracebacks_is_read_and_the_rest_is_counted():
    trace = (CASES / "tracebacks" / "during_handling.txt").read_text()
    lines = [{"event": "started"}, {"event": "boom", "level": "error", "exception": trace}]
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    records = read_records(data, "app.jsonl", Arrival.now(Redactor()))
    assert [row.exception_type for row in records.exceptions] == ["ZeroDivisionError"]
    assert [row.body for row in records.log_events] == ["boom"]
    assert len(records.rejected) == 1


def test_a_row_tells_the_same_as_its_crash():
    (row,) = read_records(json.dumps(EVENT).encode(), "x", Arrival.now(Redactor(b"k"))).exceptions
    crash = msgspec.json.decode(row.crash_json, type=Crash)
    assert (row.event_id, row.transaction, row.url_path) == (crash.event_id, "/pay", "/pay")
    assert row.exception_type == "shop.errors.PaymentError"
    assert json.loads(row.chain_json)[0] == {"type": "KeyError", "message": "'visa'"}
    assert row.enduser_pseudo_id == crash.user_id != "42"
    assert (row.severity_text, row.severity_number, row.handled) == ("ERROR", 17, False)


DEEP = b'{"exception":' + b"[" * 100_000


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "crash.json is empty"),
        (b" \n", "crash.json is empty"),
        (b"hello", "or a whole Python traceback"),
        (b"{", "is not JSON"),
        (json.dumps(EVENT).encode()[:-9], "is not JSON"),
        (b'{"exception": {"values": NaN}}', "is not JSON"),
        (b"\x7fELF\x00\x01", "is a binary file"),
        (b"\xff\xfe\xfd", "is not UTF-8: byte 0 is 0xff"),
        (b"\x1f\x8b\x08rest", "is gzip-compressed"),
        (DEEP, "nests deeper than 64"),
        (b"[" * 200 + b"]" * 200, "nests deeper than 64"),
        (b'{"a": 1, "b": 2}', "no event that we know (its keys: a, b)"),
        (b"[]", "no event that we know"),
        (b"null", "or a whole Python traceback"),
        (envelope()[:-40], "the envelope was cut"),
        (b'{}\n{"type":"session"}\n{}\n', "nothing that we keep, but no exception"),
        (json.dumps({**EVENT, "exception": None, "message": "hi"}).encode(), "no exception"),
        (b"[" + b"1," * 1_000_001 + b"1]", "more than 1,000,000 values"),
        (b"x" * (21 * 2**20), "we read at most"),
        (
            b'{"resourceSpans": [{"scopeSpans": 7}]}',
            "crash.json is not OTLP JSON as specified",
        ),
        (
            b'{"resourceSpans": []}\n\n{"resourceSpans": [{"scopeSpans": 7}]}\n',
            "crash.json, line 3 is not OTLP JSON as specified",
        ),
        (
            b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [' + b"{}," * 50_000 + b"{}]}]}]}",
            "crash.json holds more than 50,000 elements",
        ),
        (
            b'{}\n{"type":"log"}\n{"items":[0' + b",0" * 50_000 + b"]}\n",
            "more than 50,000 elements",
        ),
    ],
)
def test_everything_else_is_refused_with_file_finding_and_remedy(data, says):
    with pytest.raises(BadInput) as refusal:
        read_crashes(data, "crash.json")
    assert says.lower() in str(refusal.value).lower()
    assert refusal.value.remedy


def test_a_lone_surrogate_is_read_because_products_crash_on_it():
    data = json.dumps(EVENT).encode().replace(b"no gateway", b"bad \\ud800 text")
    (crash,) = read_crashes(data, "crash.json")
    assert crash.raised.value == "bad ? text"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


def mutated(draw):
    """The good event with one value, anywhere, replaced by any JSON."""
    event = json.loads(json.dumps(EVENT))
    spot, key = None, None
    here = event
    while isinstance(here, dict | list) and here:
        keys = list(here) if isinstance(here, dict) else range(len(here))
        spot, key = here, draw(st.sampled_from(list(keys)))
        here = here[key]
        if draw(st.booleans()):
            break
    spot[key] = draw(JSON)
    return event


@settings(max_examples=80)
@given(st.data())
def test_a_wrong_value_anywhere_never_raises_anything_of_ours(data):
    event = mutated(data.draw)
    try:
        records = read_records(json.dumps(event).encode(), "x", Arrival.now(Redactor(b"k")))
    except BadInput:
        return
    assert "joe@example.com" not in msgspec.json.encode(records).decode()


@settings(max_examples=80)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        read_crashes(data, "x")
    except BadInput:
        pass
