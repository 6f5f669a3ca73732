"""Logs of real loggers become log events and exceptions; access logs become spans."""

import io
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import structlog

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry import Arrival, Records, Redactor, read_records

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)


def read(text: str, name: str = "app.log") -> Records:
    """Read a log as `selfdrive ingest` does."""
    arrival = Arrival(received_at=NOW, redactor=Redactor(b"k"), service_name="shop")
    return read_records(text.encode(), name, arrival)


# ---- Python's own logging ---------------------------------------------------------------------


def crash(logger: logging.Logger) -> None:
    """Log an exception with a cause."""
    try:
        try:
            {}["visa"]
        except KeyError as fault:
            raise ValueError("no gateway for joe@example.com") from fault
    except ValueError:
        logger.exception("payment failed\nfor order 7")


def logged(layout: str, work: Callable[[logging.Logger], None]) -> str:
    """Return what a logger with this layout writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(layout))
    logger = logging.Logger("shop.pay")
    logger.addHandler(handler)
    work(logger)
    return stream.getvalue()


def three(logger: logging.Logger) -> None:
    """Log a warning, an exception and an information."""
    logger.warning("card %s expires", 7)
    crash(logger)
    logger.info("done")


LAYOUTS = {
    "dashes": "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
    "level first": "%(asctime)s %(levelname)s %(name)s: %(message)s",
    "brackets": "%(asctime)s [%(levelname)s] %(name)s: %(message)s",
    "logger first": "%(asctime)s %(name)s %(levelname)s %(message)s",
    "basic": logging.BASIC_FORMAT,
    "loguru": "%(asctime)s | %(levelname)-8s | %(name)s - %(message)s",
    "flask": "[%(asctime)s] %(levelname)s in %(name)s: %(message)s",
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_text_log_is_its_records_and_their_exceptions(layout: str) -> None:
    records = read(logged(layout, three))
    assert [(row.severity_text, row.logger_name, row.body) for row in records.log_events] == [
        ("WARNING", "shop.pay", "card 7 expires"),
        ("ERROR", "shop.pay", "payment failed\nfor order 7"),
        ("INFO", "shop.pay", "done"),
    ]
    (raised,) = records.exceptions
    told = [row.exception_type for row in records.log_events]
    assert told == [None, raised.exception_type, None]
    assert (raised.exception_type, raised.severity_text) == ("ValueError", "ERROR")
    assert raised.exception_message == "no gateway for [email]"
    assert [one["type"] for one in json.loads(raised.chain_json)] == ["KeyError", "ValueError"]
    assert raised.frames[-1].code_function_name == "crash"


def test_servers_write_records_without_a_logger() -> None:
    records = read(
        "[2026-11-27 09:00:01 +0100] [17] [INFO] Listening at: http://0.0.0.0:8000\n"
        'INFO:     127.0.0.1:5000 - "GET /cart HTTP/1.1" 200 OK\n'
    )
    assert [(row.severity_text, row.body) for row in records.log_events] == [
        ("INFO", "Listening at: http://0.0.0.0:8000"),
        ("INFO", '127.0.0.1:5000 - "GET /cart HTTP/1.1" 200 OK'),
    ]
    assert records.log_events[0].timestamp == datetime(2026, 11, 27, 8, 0, 1, tzinfo=UTC)
    assert records.log_events[1].timestamp == NOW


def test_a_traceback_without_a_record_is_an_exception_and_no_log_event() -> None:
    records = read(
        'Traceback (most recent call last):\n  File "/srv/shop/pay.py", line 7, in pay\n'
        "    1 / 0\nZeroDivisionError: division by zero\n"
    )
    assert [row.exception_type for row in records.exceptions] == ["ZeroDivisionError"]
    assert records.log_events == ()


def test_two_equal_lines_are_two_and_a_second_reading_names_them_alike() -> None:
    text = logged(logging.BASIC_FORMAT, lambda logger: logger.info("tick")) * 2
    names = [row.event_id for row in read(text).log_events]
    assert len(set(names)) == 2
    assert names == [row.event_id for row in read(text, "rotated.log").log_events]


def test_what_no_logger_wrote_is_refused() -> None:
    with pytest.raises(BadInput, match=r"without a log's record or a whole Python traceback"):
        read("Dear diary,\ntoday nothing crashed.\n")


# ---- JSON -------------------------------------------------------------------------------------


def structured(*processors: structlog.typing.Processor) -> Records:
    """Read what structlog writes of an exception."""
    stream = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *processors,
            structlog.processors.JSONRenderer(),
        ],
    )
    card = "4111 1111 1111 1111"
    try:
        {}[card]
    except KeyError:
        logger.exception("payment failed", order=7, user_id="42", session_id="s-1")
    return read(stream.getvalue(), "app.jsonl")


@pytest.mark.parametrize(
    "processor",
    [structlog.processors.format_exc_info, structlog.processors.dict_tracebacks],
    ids=["text", "dict_tracebacks"],
)
def test_structlog_is_a_log_event_and_an_exception(processor: structlog.typing.Processor) -> None:
    records = structured(processor)
    (event,), (raised,) = records.log_events, records.exceptions
    assert (event.severity_text, event.body) == ("ERROR", "payment failed")
    assert json.loads(event.attributes_json) == {"order": 7}
    assert event.session_id == raised.session_id != "s-1"
    assert event.enduser_pseudo_id == raised.enduser_pseudo_id
    assert raised.exception_type == "KeyError"
    assert "4111" not in str(records)
    assert raised.frames[-1].code_function_name == "structured"


ELASTIC = {
    "@timestamp": "2026-11-27T08:00:01.250Z",
    "message": "payment failed",
    "log": {"level": "warning", "logger": "shop.pay"},
    "service": {"name": "till", "version": "7"},
    "trace": {"id": "ab" * 16},
    "error": {"stack_trace": 'Traceback (most recent call last):\n  File "a.py", line 1\nE: x'},
}
JSON_LOGGER = {
    "asctime": "2026-11-27 08:00:01,250",
    "levelname": "WARNING",
    "name": "shop.pay",
    "message": "payment failed",
    "service": "till",
    "release": "7",
    "trace_id": "ab" * 16,
}
BUNYAN = {
    "time": "2026-11-27T08:00:01.250Z",
    "level": 30,
    "name": "shop.pay",
    "msg": "payment failed",
    "service": "till",
    "version": "7",
    "trace_id": "ab" * 16,
}


@pytest.mark.parametrize(
    "said", [ELASTIC, JSON_LOGGER, BUNYAN], ids=["Elastic", "python-json-logger", "numbers"]
)
def test_a_field_is_found_under_the_names_that_loggers_use(said: dict) -> None:
    (event,) = read(json.dumps(said), "app.jsonl").log_events
    assert event.timestamp == datetime(2026, 11, 27, 8, 0, 1, 250_000, UTC)
    assert (event.severity_text, event.logger_name) == ("WARNING", "shop.pay")
    assert (event.body, event.trace_id) == ("payment failed", "ab" * 16)
    assert (event.service_name, event.service_version) == ("till", "7")


# ---- access logs ------------------------------------------------------------------------------

COMBINED = (
    '203.0.113.9 - frank [27/Nov/2026:09:00:01 +0100] "GET /cart?token=abc HTTP/1.1" 500 17 '
    '"http://shop.example/" "Mozilla/5.0 (X11)" rt=0.250'
)
COMMON = '203.0.113.9 - - [27/Nov/2026:09:00:02 +0100] "POST /pay HTTP/1.1" 200 -'


def test_an_access_log_is_a_span_for_each_request() -> None:
    records = read(f"{COMBINED}\n{COMMON}\nhello\n", "access.log")
    failed, fine = records.spans
    assert failed.timestamp == datetime(2026, 11, 27, 8, 0, 1, tzinfo=UTC)
    assert (failed.name, failed.kind, failed.duration_ms) == ("GET /cart", "SERVER", 250.0)
    assert (failed.http_response_status_code, failed.error_type) == (500, "500")
    assert failed.enduser_pseudo_id not in (None, "frank")
    assert (fine.status_code, fine.duration_ms, fine.enduser_pseudo_id) == ("UNSET", None, None)
    assert "203.0.113.9" not in str(records)
    assert "abc" not in str(records)
    assert records.rejected == ("access.log, entry 3 is no line of an access log",)


def test_equal_lines_of_an_access_log_stay_apart() -> None:
    spans = read(f"{COMMON}\n{COMMON}\n", "access.log").spans
    assert len({span.span_id for span in spans}) == len({span.event_id for span in spans}) == 2
