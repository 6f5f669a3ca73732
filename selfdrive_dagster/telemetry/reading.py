"""The door to files: recognises what a file holds and decodes it. Raises BadInput for the rest.

Belongs here: telling formats apart. Does not: what a format's fields mean.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Crash
from selfdrive_dagster.telemetry import events, logs, otlp, sentry
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals
from selfdrive_dagster.telemetry.bounds import MAX_BYTES, check_rows, mapping, parse_json
from selfdrive_dagster.telemetry.junit import is_junit, read_junit
from selfdrive_dagster.telemetry.redact import Redactor
from selfdrive_dagster.telemetry.rows import Records, join

WHAT_WE_READ = (
    "Give a Sentry event as JSON (the link 'JSON' on its page), a Sentry envelope, OTLP JSON "
    "lines, a log (JSON lines or text with levels) with a Python traceback, an access log, or a "
    "JUnit file."
)
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Arrival time of files read for `repair`, so that one file always gives equal records."""


def read_crashes(data: bytes, name: str, redactor: Redactor | None = None) -> tuple[Crash, ...]:
    """Return the redacted crashes in a file's bytes, in their order; at least one.

    Without a redactor of its own, persons become `[user]` and `[session]`.

    Raises BadInput that names `name` (the file), what was found and what would do.
    """
    arrival = Arrival(received_at=UNKNOWN_TIME, redactor=redactor or Redactor())
    records = read_records(data, name, arrival)
    if not records.exceptions:
        raise BadInput(f"{name} holds {_sum_up(records)}, but no exception.", remedy=WHAT_WE_READ)
    return tuple(msgspec.json.decode(row.crash_json, type=Crash) for row in records.exceptions)


def read_records(data: bytes, name: str, arrival: Arrival) -> Records:
    """Return the redacted rows of a file's bytes, whichever format it holds.

    Raises BadInput for an empty, binary, oversized, truncated or unknown file.
    """
    if len(data) > MAX_BYTES:
        raise BadInput(
            f"{name} is {len(data):,} bytes; we read at most {MAX_BYTES:,} at once.",
            remedy="Cut out the part with the crash.",
        )
    if not data.strip():
        raise BadInput(f"{name} is empty.", remedy=WHAT_WE_READ)
    body = data.removeprefix(b"\xef\xbb\xbf")
    if is_junit(body[:4_000]):
        return read_junit(body, name, arrival)
    if body.lstrip()[:1] in (b"{", b"[") and not logs.begins_record(body[:1_000]):
        return _read_json(body, name, arrival)
    return _read_log(body, name, arrival)


def _sum_up(records: Records) -> str:
    counts = {
        "spans": len(records.spans),
        "log records": len(records.log_events),
        "metric points": len(records.metric_points),
        "product events": len(records.product_events),
        "sessions": len(records.sessions),
        "test results": len(records.test_results),
    }
    told = [f"{count} {what}" for what, count in counts.items() if count]
    return " and ".join(told) or "nothing that we keep"


# ---- JSON ------------------------------------------------------------------------------------


def _read_json(data: bytes, name: str, arrival: Arrival) -> Records:
    lines = _lines(data, name)
    if len(lines) > 1 and _is_whole(lines[0][1], name):
        return _read_lines(data, lines, name, arrival)
    value = parse_json(data, name)
    if isinstance(value, list):
        entries = [(f"{name}, entry {at}", event) for at, event in enumerate(value, start=1)]
        return _decode_all(entries, name, arrival)
    return _decode_all([(name, value)], name, arrival)


def _lines(data: bytes, name: str) -> list[tuple[str, bytes]]:
    """Return the lines that hold something, each with its place in the file."""
    return [
        (f"{name}, line {number}", line)
        for number, line in enumerate(data.splitlines(), start=1)
        if line.strip()
    ]


def _is_whole(line: bytes, name: str) -> bool:
    """Say whether one line is JSON by itself, so that the file holds lines of JSON."""
    try:
        parse_json(line, name)
    except BadInput:
        return False
    return True


def _read_lines(
    data: bytes, lines: list[tuple[str, bytes]], name: str, arrival: Arrival
) -> Records:
    first = mapping(parse_json(lines[0][1], name))
    if not _decoder(first) and _is_item_header(lines[1][1]):
        return sentry.decode_envelope(data, name, arrival)
    return _decode_all([(place, parse_json(line, place)) for place, line in lines], name, arrival)


def _is_item_header(line: bytes) -> bool:
    try:
        return isinstance(mapping(parse_json(line, "")).get("type"), str)
    except BadInput:
        return False


Decoder = Callable[[dict[str, Any], str, Arrival, Ordinals], Records]
"""Takes a JSON object, its place for the one who wrote it, and the circumstances."""


def _decode_all(values: list[tuple[str, Any]], name: str, arrival: Arrival) -> Records:
    """Decode JSON values, each with its place in the file `name`."""
    ordinals = Ordinals()
    parts: list[Records] = []
    rows = 0
    for place, value in values:
        decoder = _decoder(mapping(value))
        if decoder:
            parts.append(decoder(value, place, arrival, ordinals))
            rows += parts[-1].count()
            check_rows(rows, name)
        else:
            parts.append(Records(rejected=(f"{place} is no event that we know",)))
    if not any(_decoder(mapping(value)) for _, value in values):
        keys = ", ".join(sorted(mapping(values[0][1]))[:5]) if values else "none"
        raise BadInput(
            f"{name} is JSON, but no event that we know (its keys: {keys[:200] or 'none'}).",
            remedy=WHAT_WE_READ,
        )
    return join(parts)


def _decoder(value: dict[str, Any]) -> Decoder | None:
    return next((decoder for fits, decoder in JSON_FORMATS if fits(value)), None)


def _read_event(
    value: dict[str, Any], _place: str, arrival: Arrival, ordinals: Ordinals
) -> Records:
    return sentry.decode_event(value, arrival, ordinals)


JSON_FORMATS: tuple[tuple[Callable[[dict[str, Any]], bool], Decoder], ...] = (
    (lambda value: "resourceSpans" in value or "resource_spans" in value, otlp.decode_json),
    (lambda value: "resourceLogs" in value or "resource_logs" in value, otlp.decode_json),
    (lambda value: "resourceMetrics" in value or "resource_metrics" in value, otlp.decode_json),
    (sentry.is_event, _read_event),
    (events.is_product_event, events.decode_events),
    (logs.is_log, logs.read_json_log),
)
"""How a JSON object is recognised → its decoder; the first that fits wins."""


# ---- logs ------------------------------------------------------------------------------------


def _read_log(data: bytes, name: str, arrival: Arrival) -> Records:
    if data[:2] == b"\x1f\x8b":
        raise BadInput(f"{name} is gzip-compressed.", remedy="Unpack it first: gunzip FILE.")
    if b"\0" in data[:65_536]:
        raise BadInput(f"{name} is a binary file.", remedy=WHAT_WE_READ)
    try:
        log = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{name} is not UTF-8: byte {error.start} is {data[error.start]:#04x}.",
            remedy="Save it as UTF-8: iconv -f latin1 -t utf-8 FILE.",
        ) from None
    first = next((line for line in log.splitlines() if line.strip()), "")
    if logs.is_access_line(first):
        return logs.read_access_log(log, name, arrival)
    records = logs.read_text_log(log, name, arrival)
    if not records.count():
        raise BadInput(
            f"{name} is text without a log's record or a whole Python traceback.",
            remedy=WHAT_WE_READ,
        )
    return records
