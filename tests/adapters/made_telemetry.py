"""Random telemetry of every typed table: for comparing engines, not for looking real to people.

Columns get words by their name, so that sessions, routes and times meet across tables; what has no
words of its own gets values by its type. A new table or column takes part without a line here.
"""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from issue_rows import FUNCTIONS, crash_of, row_of

from selfdrive_dagster.adapters.warehouse.tables import ROW_TYPES
from selfdrive_dagster.model import digest

START = datetime(2026, 11, 20, 21, 30, tzinfo=UTC)
HOURS = 30
"""Across two midnights, so that days are made anew as well."""

WORDS: Mapping[str, tuple[Any, ...]] = {
    "source": ("otlp", "sentry", "posthog"),
    "service_name": ("shop", "bänk"),
    "service_version": ("1.0", "1.1", None),
    "deployment_environment_name": ("production", None),
    "service_instance_id": ("one", "two", None),
    "trace_id": tuple(f"{n:032x}" for n in range(400)),
    "session_id": (*(f"s{n}" for n in range(6)), None),
    "enduser_pseudo_id": (*(f"u{n}" for n in range(25)), None),
    "kind": ("SERVER", "SERVER", "CLIENT", "INTERNAL", "gauge", "sum"),
    "name": ("GET /cart", "bank", "zählen"),
    "status_code": ("UNSET", "OK", "ERROR"),
    "http_request_method": ("GET", "POST", None),
    "http_response_status_code": (200, 200, 200, 404, 408, 500, 503, 504, None),
    "http_route": ("/cart", "/pay/{id}", None),
    "url_path": ("/cart", "/pay/7", "/", None),
    "error_type": ("httpx.ReadTimeout", "TimedOut", "KeyError", None, None),
    "event_name": (
        *["$pageview"] * 4, *["click"] * 3, "$autocapture", "$rageclick", "form_submit", "input",
        "Bought, once",
    ),
    "status": ("ok", "exited", "errored", "crashed", "abnormal"),
    "test_case_result_status": ("passed", "failed"),
    "message": ("expected 3 at 12:30:00, got 'x y'", None),
    "target": ("button.buy", "input#mail", None),
    "form_id": ("pay", None),
    "severity_text": ("error", "fatal", "warning", "info", "ERROR"),
    "severity_number": (9, 13, 17, 21, None),
    "logger_name": ("shop.mail", None),
    "body": (
        "mail 17 was not sent", "mail 4ü was not sent to é@shop.example", "took 3.5 s\nat /a/b/c",
        "user 0af3c21b9d77 gone   twice\t", "prüfung_4 of 'two words' failed (12345)", "", None,
    ),
    "exception_type": ("KeyError", "ValueError", "HTTPError", None),
    "exception_message": ("item 7 is not there", "no 'total price' in 12:30:00", None),
    "metric_name": ("process.memory.usage", "process.cpu.utilization", "queue.length"),
    "attributes_json": (
        "{}", '{"$event_type":"click"}', '{"$event_type":"change","n":1.5}',
        '{"$event_type":"submit","http.route":"/x \\u00e9"}',
    ),
    "handled": (True, False, None),
    "chain_json": ('[{"type":"KeyError","message":"x"}]',),
    "crash_json": tuple(row_of(crash_of(name)).crash_json for name in FUNCTIONS),
}  # fmt: skip


def rows_of(table: str, count: int, seed: int = 1) -> list[msgspec.Struct]:
    """Return made rows of a typed table; equal seeds make equal rows."""
    draw = random.Random(f"{table} {seed}")
    return [_struct(ROW_TYPES[table], draw, f"{table} {seed} {place}") for place in range(count)]


def _struct(kind: type[msgspec.Struct], draw: random.Random, name: str) -> msgspec.Struct:
    hints = get_type_hints(kind)
    told = {field: _value(field, hints[field], draw, name) for field in kind.__struct_fields__}
    if "received_at" in told:
        told["received_at"] = told["timestamp"] + timedelta(seconds=draw.random() * 5)
    return kind(**told)


def _value(field: str, hint: Any, draw: random.Random, name: str) -> Any:
    if field == "event_id":
        return digest(name)
    if field in WORDS:
        words = WORDS[field]
        known = (
            words if NoneType in get_args(hint) else [each for each in words if each is not None]
        )
        return draw.choice(list(known))
    if get_origin(hint) in (Union, UnionType):
        if draw.random() < 0.2:
            return None
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    return _plain(field, hint, draw, name)


def _plain(field: str, hint: Any, draw: random.Random, name: str) -> Any:
    if get_origin(hint) is tuple:
        return tuple(
            _plain(field, get_args(hint)[0], draw, name) for _ in range(draw.randint(0, 3))
        )
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _struct(hint, draw, name)
    plain = {
        bool: lambda: draw.random() < 0.5,
        int: lambda: draw.choice([0, 1, 2, 7, 1_000_003]),
        float: lambda: draw.choice([0.0, draw.lognormvariate(3, 2)]),
        str: lambda: draw.choice(["", "a", "b b", "straße"]),
        datetime: lambda: _moment(draw),
    }
    return plain[hint]()


def _moment(draw: random.Random) -> datetime:
    """Return a time: most lie in a few bursts, in which one thing of a visit follows another."""
    if draw.random() < 0.6:
        burst = timedelta(hours=draw.randrange(5) * 5, minutes=29, seconds=56)
        return START + burst + timedelta(microseconds=draw.randrange(6_000_000))
    return START + timedelta(microseconds=draw.randrange(HOURS * 3_600_000_000))
