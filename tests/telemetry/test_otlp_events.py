"""OpenTelemetry events: what somebody did is a product event, the rest stays a log event."""

from datetime import UTC, datetime
from typing import Any

import pytest

from selfdrive_dagster.telemetry import Arrival, Records, Redactor
from selfdrive_dagster.telemetry.otlp import decode_json

ARRIVAL = Arrival(received_at=datetime(2026, 11, 27, 9, tzinfo=UTC), redactor=Redactor(b"k"))


def emitted(name: str, severity: int = 9, **said: str) -> Records:
    """Decode one event as an SDK emits it."""
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]
    record: dict[str, Any] = {
        "timeUnixNano": "1795769998500000000", "severityNumber": severity,
        "eventName": name, "attributes": attributes,
    }  # fmt: skip
    return decode_json({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}, "f", ARRIVAL)


SOMEBODY = {"session.id": "s-1", "enduser.id": "ada@example.com"}
USES = {
    "a click, even of nobody": ("app.widget.click", {}),
    "a page": ("browser.page_view", {"url.full": "http://shop.example/cart?token=abc"}),
    "an event of the product's own": ("checkout.started", SOMEBODY),
}
NO_USES = {
    "an event of nobody": ("cache.cleared", 9, {}),
    "a flag's evaluation": ("feature_flag.evaluation", 9, SOMEBODY),
    "a warning": ("checkout.slow", 13, SOMEBODY),
    "a timing of the browser": ("browser.navigation_timing", 9, SOMEBODY),
}


@pytest.mark.parametrize("name", USES)
def test_what_somebody_did_is_a_product_event(name: str) -> None:
    records = emitted(USES[name][0], **USES[name][1])
    (row,) = records.product_events
    assert records.log_events == ()
    assert (row.event_name, row.source) == (USES[name][0], "otlp")
    assert not any(word in str(row) for word in ("ada", "abc", "s-1"))


@pytest.mark.parametrize("name", NO_USES)
def test_everything_else_stays_a_log_event(name: str) -> None:
    event, severity, said = NO_USES[name]
    records = emitted(event, severity, **said)
    assert (len(records.log_events), records.product_events) == (1, ())


def test_a_click_tells_its_element_and_page() -> None:
    said = {"app.widget.id": "pay", "url.full": "http://shop.example/cart?x=1", **SOMEBODY}
    (row,) = emitted("app.widget.click", **said).product_events
    assert (row.target, row.url_path) == ("pay", "/cart")
    assert len(row.session_id or "") == len(row.enduser_pseudo_id or "") == 32
