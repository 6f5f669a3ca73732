"""What people did, whoever's library tells it: one row each, and nobody's name in it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry import Arrival, Records, Redactor, read_records
from selfdrive_dagster.telemetry.events import decode_events

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
ARRIVAL = Arrival(received_at=NOW, redactor=Redactor(b"k"), service_name="shop")

POSTHOG = {
    "event": "checkout started",
    "distinct_id": "ada@example.com",
    "uuid": "01936c1e-0000-7000-8000-000000000001",
    "timestamp": "2026-11-27T08:59:58.500Z",
    "properties": {
        "$lib": "posthog-python",
        "$session_id": "s-1",
        "$current_url": "http://shop.example/cart?token=abc",
        "plan": "pro",
    },
}
SEGMENT = {
    "type": "track",
    "event": "checkout started",
    "userId": "ada@example.com",
    "messageId": "m-1",
    "timestamp": "2026-11-27T08:59:58.500Z",
    "properties": {"plan": "pro"},
    "context": {"page": {"path": "/cart"}, "sessionId": "s-1", "ip": "203.0.113.9"},
}
PLAIN = {
    "event": "checkout started",
    "user_id": "ada@example.com",
    "session_id": "s-1",
    "timestamp": 1_795_769_998.5,
    "properties": {"path": "/cart", "plan": "pro"},
}
SENDERS = {"posthog": POSTHOG, "segment": SEGMENT, "events": PLAIN}


def decode(value: Any) -> Records:
    """Decode a body as the receiver does."""
    return decode_events(value, "The body", ARRIVAL)


@pytest.mark.parametrize("source", SENDERS)
def test_one_event_is_the_same_row_whoever_sends_it(source: str) -> None:
    (row,) = decode(SENDERS[source]).product_events
    assert (row.event_name, row.source, row.url_path) == ("checkout started", source, "/cart")
    assert row.timestamp == datetime(2026, 11, 27, 8, 59, 58, 500_000, UTC)
    (other,) = decode(POSTHOG).product_events
    assert (row.session_id, row.enduser_pseudo_id) == (other.session_id, other.enduser_pseudo_id)
    assert json.loads(row.attributes_json)["plan"] == "pro"
    assert not any(word in str(row) for word in ("ada", "abc", "203.0.113"))


@pytest.mark.parametrize("source", ["posthog", "segment"])
def test_what_the_sender_names_is_one_row_when_it_comes_again(source: str) -> None:
    first, again = decode({"batch": [SENDERS[source]] * 2}).product_events
    assert first == again


def test_unnamed_equal_events_stay_apart() -> None:
    first, again = decode([PLAIN, PLAIN]).product_events
    assert first.event_id != again.event_id


@pytest.mark.parametrize(
    "event",
    [{"type": "identify", "userId": "7", "traits": {"email": "ada@example.com"}},
     {"event": "$identify", "distinct_id": "7", "properties": {"$set": {"name": "Ada"}}}],
    ids=["segment", "posthog"],
)  # fmt: skip
def test_what_tells_of_a_person_alone_is_not_kept(event: dict) -> None:
    records = decode({"batch": [event, PLAIN]})
    assert len(records.product_events) == 1
    assert "tells of a person" in records.rejected[0]


@pytest.mark.parametrize("said", [{}, {"name": "Cart"}], ids=["nameless", "named"])
def test_a_page_is_a_page_whatever_its_name(said: dict) -> None:
    page = {"type": "page", "anonymousId": "a", "context": {"page": {"path": "/cart"}}, **said}
    (row,) = decode(page).product_events
    assert (row.event_name, row.url_path) == ("page", "/cart")


def test_a_screen_is_where_a_page_would_be() -> None:
    (row,) = decode({"type": "screen", "name": "Cart", "userId": "7"}).product_events
    assert (row.event_name, row.url_path) == ("screen", "Cart")


BUTTON = [
    {"tag_name": "button", "$el_text": "Pay", "attr__id": "pay"},
    {"tag_name": "form", "attr__id": "checkout", "attr__class": ["wide"]},
    {"tag_name": "body"},
]
CHAIN = (
    'button.buy:attr__id="pay"nth-child="2"text="Pay; now";'
    'form.wide:attr__id="checkout"nth-child="1";body'
)
PLAIN_CLICK = {"target": "pay", "tag_name": "button", "form_id": "checkout"}


@pytest.mark.parametrize(
    "properties",
    [{"$elements": BUTTON}, {"$elements_chain": CHAIN}, PLAIN_CLICK],
    ids=["elements", "chain", "plain"],
)
def test_a_click_tells_its_element_and_its_form(properties: dict) -> None:
    said = {"$event_type": "click", **properties}
    event = {"event": "$autocapture", "distinct_id": "7", "properties": said}
    (row,) = decode(event).product_events
    assert (row.target, row.target_tag, row.form_id) == ("pay", "button", "checkout")
    assert json.loads(row.attributes_json)["$event_type"] == "click"
    assert row.is_dead is None


@pytest.mark.parametrize(
    ("event", "is_dead"),
    [({"event": "$dead_click"}, True), ({"event": "click", "is_dead": False}, False),
     ({"event": "click", "properties": {"dead": "true"}}, True), ({"event": "click"}, None)],
)  # fmt: skip
def test_a_click_is_dead_if_its_sender_says_so(event: dict, is_dead: bool | None) -> None:
    (row,) = decode({**event, "session_id": "s-1"}).product_events
    assert row.is_dead is is_dead


def test_a_flat_event_keeps_what_it_says_beside_the_known_names() -> None:
    flat = {
        "event": "search",
        "session_id": "s-1",
        "url": "http://shop.example/find?q=1",
        "hits": 0,
    }
    (row,) = decode(flat).product_events
    assert row.url_path == "/find"
    assert json.loads(row.attributes_json) == {"hits": 0}


def test_a_browser_that_tells_only_how_long_ago_is_placed_in_time() -> None:
    (row,) = decode(
        {"event": "$pageview", "offset": 1_500, "properties": {"token": "t"}}
    ).product_events
    assert row.timestamp == datetime(2026, 11, 27, 8, 59, 58, 500_000, UTC)
    assert "token" not in row.attributes_json


def test_what_segment_says_around_a_batch_holds_for_each_event() -> None:
    batch = {"batch": [SEGMENT], "context": {"app": {"version": "7"}}, "sentAt": "2026-11-27"}
    assert decode(batch).product_events[0].service_version == "7"


@pytest.mark.parametrize("body", [[7], "hello", {"batch": ["x"]}], ids=["number", "text", "batch"])
def test_what_is_no_event_is_refused(body: Any) -> None:
    with pytest.raises(BadInput, match="is no JSON object"):
        decode(body)


def test_a_file_of_events_is_told_from_a_log() -> None:
    lines = [PLAIN, {"event": "started", "level": "info", "user_id": "7"}, POSTHOG]
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    records = read_records(data, "events.jsonl", ARRIVAL)
    assert len(records.product_events) == 2
    assert [row.body for row in records.log_events] == ["started"]
