"""Attributes remembered by their bytes give what reading them together gives; JSON as protobuf."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from bench.payloads import as_json, request
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry import Arrival, Redactor, otlp
from selfdrive_dagster.telemetry.otlp.repeated import Memory, memory_of, said_by
from selfdrive_dagster.telemetry.otlp.values import LATEST, read_time, read_times, rest_json
from selfdrive_dagster.telemetry.redact.text import PLAIN_PATH, replace_all_forms

KEY = b"k" * 32
ALL = Arrival(received_at=datetime(2026, 11, 27, tzinfo=UTC), redactor=Redactor(KEY))
LISTED = Arrival(received_at=ALL.received_at, redactor=Redactor(KEY, only_listed=True))

NAMES = st.sampled_from(
    (
        "http.method", "http.request.method", "http.target", "url.path", "url.full", "http.url",
        "code.function", "code.namespace", "code.function.name", "user.id", "enduser.id",
        "session.id", "customer", "name", "value", "key", "password", "app.token", "owner.user",
        "exception.type", "exception.message", "thread.id", "é", "a.b", "a",
    )
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ("", "GET", "/a/7?token=abc", "/orders/48213", "anna", "'anna'", "id:anna", "password",
         "anna@example.org", "https://h.example/p?q=1", "4111 1111 1111 1111")
    ),
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.floats(allow_nan=True),
    st.lists(st.sampled_from(("anna", "x")), max_size=2),
)  # fmt: skip


def pair(name, value):
    made = KeyValue(key=name)
    match value:
        case bool():
            made.value.bool_value = value
        case int():
            made.value.int_value = value
        case float():
            made.value.double_value = value
        case str():
            made.value.string_value = value
        case list():
            made.value.array_value.values.add().string_value = "".join(value)
    return made.SerializeToString()


@pytest.mark.parametrize("arrival", [ALL, LISTED], ids=["all", "listed"])
@given(said=st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_remembered_attributes_are_what_reading_them_together_gives(arrival, said):
    memory = memory_of(arrival.redactor, "protobuf")
    raws = tuple(pair(name, value) for name, value in said)
    for _ in range(2):
        read = memory.read(raws)
        together = rest_json(said_by(read.found), arrival)
        assert read.json in (None, together)


def test_most_attributes_need_no_long_way():
    made = request(64, 1).resource_spans[0].scope_spans[0].spans
    memory = memory_of(ALL.redactor, "protobuf")
    assert all(
        memory.read(tuple(one.SerializeToString() for one in span.attributes)).json is not None
        for span in made
    )


def test_what_is_remembered_is_bounded():
    read: list[bytes] = []

    def pair_of(raw: bytes) -> tuple[str, object]:
        read.append(raw)
        return "a", raw.decode()

    memory = Memory(Redactor(KEY), pair_of)
    for number in range(20_000):
        memory.read((f"x{number}".encode(),))
    memory.read((b"x0",))
    assert read.count(b"x0") == 2, "the first was forgotten when there were too many"


@pytest.mark.parametrize("arrival", [ALL, LISTED], ids=["all", "listed"])
def test_json_and_protobuf_give_the_same_rows(arrival):
    made = request(256, 7)
    event = made.resource_spans[0].scope_spans[0].spans[3].events.add(name="exception")
    event.time_unix_nano = 1_795_000_000_000_000_000
    event.attributes.append(KeyValue.FromString(pair("exception.type", "KeyError")))
    body = json.dumps(as_json(made)).encode()
    from_protobuf = otlp.decode_protobuf("traces", made.SerializeToString(), "b", arrival)
    assert otlp.decode_json_body(body, "b", arrival) == from_protobuf
    assert otlp.decode_json(as_json(made), "b", arrival) == from_protobuf
    assert len(from_protobuf.spans) == 256
    assert len(from_protobuf.exceptions) == 1


SPAN = {"traceId": "0a" * 16, "spanId": "0b" * 8, "startTimeUnixNano": "1795000000000000000"}
ODD = {
    "names of enums": SPAN | {"endTimeUnixNano": 1795000000000000001, "kind": "SPAN_KIND_SERVER"},
    "a null": SPAN | {"endTimeUnixNano": "1795000000000000001", "kind": 2, "name": None},
    "snake case": SPAN | {"end_time_unix_nano": "1795000000000000001", "kind": 2},
    "a number as text": SPAN | {"endTimeUnixNano": "1795000000000000001", "kind": 2.0},
    "attributes null": SPAN
    | {"endTimeUnixNano": "1795000000000000001", "kind": 2, "attributes": None},
    "a field that came later": SPAN
    | {"endTimeUnixNano": "1795000000000000001", "kind": 2, "mood": "fine"},
    "ids in capitals": SPAN
    | {"endTimeUnixNano": "1795000000000000001", "kind": 2, "traceId": "0A" * 16},
}


@pytest.mark.parametrize("span", ODD.values(), ids=ODD)
def test_odd_json_is_read_as_protobufs_mapping_reads_it(span):
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    [row] = otlp.decode_json_body(body, "b", ALL).spans
    assert (row.kind, row.duration_ms) == ("SERVER", 1e-6)
    assert (row.trace_id, row.span_id, row.attributes_json) == ("0a" * 16, "0b" * 8, "{}")


BROKEN = {
    "no trace id": {"traceId": ""},
    "half a span id": {"spanId": "0b" * 4},
    "a trace id of zeros": {"traceId": "0" * 32},
    "an id that is not hex": {"spanId": "0x" * 8},
    "no end": {"endTimeUnixNano": 0},
    "a start after 2200": {"startTimeUnixNano": str(2**63)},
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
def test_a_span_that_is_not_whole_is_rejected_and_its_neighbours_stay(fault):
    whole = SPAN | {"endTimeUnixNano": "1795000000000000001", "name": "whole"}
    spans = [whole, whole | {"name": "broken"} | fault, whole]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    records = otlp.decode_json_body(body, "b", ALL)
    assert [row.name for row in records.spans] == ["whole", "whole"]
    assert len(records.rejected) == 1


def test_a_torn_attribute_is_refused_like_any_other_torn_request():
    made = request(2, 3).SerializeToString().replace(b"http.route", b"http.rout\xff")
    with pytest.raises(BadInput):
        otlp.decode_protobuf("traces", made, "The body", ALL)


def test_the_allow_list_drops_what_it_does_not_name_and_no_person_passes():
    made = request(64, 5)
    rows = otlp.decode_protobuf("traces", made.SerializeToString(), "b", LISTED).spans
    kept = {name for row in rows for name in json.loads(row.attributes_json)}
    assert {"http.route", "db.system.name"} <= kept
    assert not kept & {"shop.experiment", "db.query.text", "user_agent.original", "thread.id"}
    assert rows[0].session_id is not None


@given(st.from_regex(PLAIN_PATH))
def test_plain_paths_hold_no_form(path):
    assert replace_all_forms(path) == path


@given(st.lists(st.integers(1, LATEST - 1)))
def test_times_read_in_one_go_are_the_times_read_one_by_one(nanoseconds):
    assert read_times(nanoseconds) == [read_time(one) for one in nanoseconds]
