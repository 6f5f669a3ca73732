"""JSON logs: structlog, python-json-logger, Elastic Common Schema, and their kin.

Each field is looked for under the names that these write; what is under none of them is an
attribute. Exceptions come as a text, or as the list that structlog's `dict_tracebacks` writes,
the exception that was raised first and then its causes.
"""

from collections.abc import Mapping
from typing import Any

from selfdrive_dagster.model import Frame, RaisedException
from selfdrive_dagster.telemetry.aliases import current_names
from selfdrive_dagster.telemetry.arrivals import (
    SEVERITY_NUMBERS,
    Arrival,
    Ordinals,
    is_library_path,
    split_type,
)
from selfdrive_dagster.telemetry.bounds import (
    MAX_CHAIN,
    MAX_FRAMES,
    hex_id,
    label,
    mapping,
    moment,
    sequence,
    text,
    whole,
)
from selfdrive_dagster.telemetry.logs.entry import Entry, records_of
from selfdrive_dagster.telemetry.rows import Records
from selfdrive_dagster.telemetry.stacktrace import find_tracebacks

NAMES: Mapping[str, tuple[str, ...]] = {
    "timestamp": ("timestamp", "@timestamp", "time", "ts", "asctime", "datetime"),
    "level": ("level", "log.level", "levelname", "severity", "log_level", "lvl"),
    "logger": ("logger", "log.logger", "logger_name", "name"),
    "body": ("event", "message", "msg"),
    "service_name": ("service.name", "service"),
    "service_version": ("service.version", "version", "release"),
    "environment": ("deployment.environment.name", "service.environment", "environment", "env"),
    "trace_id": ("trace_id", "trace.id", "traceId"),
    "span_id": ("span_id", "span.id", "spanId"),
    "user": ("enduser.id", "user.id", "user_id", "userId"),
    "session": ("session.id", "session_id", "sessionId"),
    "exception": ("exception", "error.stack_trace", "stack_trace", "exc_info", "traceback"),
}
"""Field of an entry → the names under which loggers write it, the first that is there wins."""


def is_log(value: dict[str, Any]) -> bool:
    """Say whether a JSON object is a log's record: a message with a level or a time."""
    said = _flat(value)
    has = {field: any(name in said for name in names) for field, names in NAMES.items()}
    is_message = has["body"] and bool(has["level"] or has["timestamp"])
    return is_message or _traceback(said) != ""


def read_json_log(
    value: dict[str, Any], _place: str, arrival: Arrival, ordinals: Ordinals
) -> Records:
    """Return the rows of one JSON record."""
    return records_of([entry_of(value)], arrival, ordinals)


def entry_of(value: dict[str, Any]) -> Entry:
    """Return what a JSON object says as a log's record."""
    said = _flat(value)
    found = {field: _first(said, names) for field, names in NAMES.items()}
    stack = _traceback(said)
    told = find_tracebacks(stack)
    exceptions = told[0].exceptions if told else _dict_tracebacks(found["exception"])
    taken = {name for names in NAMES.values() for name in names}
    return Entry(
        timestamp=moment(found["timestamp"]),
        level=_level(found["level"]),
        logger=label(found["logger"]),
        body=_body(text(found["body"]), stack),
        service_name=label(found["service_name"]),
        service_version=label(found["service_version"]),
        environment=label(found["environment"]),
        trace_id=hex_id(found["trace_id"], 32),
        span_id=hex_id(found["span_id"], 16),
        user=text(found["user"]),
        session=text(found["session"]),
        attributes=current_names({n: one for n, one in said.items() if n not in taken}),
        exceptions=exceptions,
        stacktrace=told[0].text if told else "",
    )


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    """Return a record with `{"log": {"level": …}}` as "log.level", one step deep."""
    flat: dict[str, Any] = {}
    for name, one in value.items():
        inner = one if name in NESTED and isinstance(one, dict) else {}
        flat.update({f"{name}.{key}": held for key, held in inner.items()})
        if not inner:
            flat[name] = one
    return flat


NESTED = ("log", "service", "trace", "span", "user", "session", "error", "deployment")
"""Objects of the Elastic Common Schema whose entries are fields."""


def _first(said: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((said[name] for name in names if said.get(name) not in (None, "")), None)


LEVELS_BY_NUMBER = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
"""Python's own numbers, which are bunyan's and pino's as well."""


def _level(said: Any) -> str:
    name = label(said).lower()
    number = whole(said)
    if number is not None:
        return LEVELS_BY_NUMBER.get(number // 10 * 10, "")
    return name if name in SEVERITY_NUMBERS else label(said).lower()


def _traceback(said: Mapping[str, Any]) -> str:
    fields = (said.get(name) for name in (*NAMES["exception"], *NAMES["body"]))
    return next((one for one in fields if isinstance(one, str) and "Traceback (" in one), "")


def _body(body: str, stack: str) -> str:
    """Return a message without the traceback that hangs at its end."""
    return body.partition("Traceback (most recent call last):")[0].strip() if stack else body


def _dict_tracebacks(sent: Any) -> tuple[RaisedException, ...]:
    told = [mapping(one) for one in sequence(sent)[:MAX_CHAIN]]
    return tuple(_raised(one) for one in reversed(told) if label(one.get("exc_type")))


def _raised(one: dict[str, Any]) -> RaisedException:
    module, bare = split_type(label(one.get("exc_type")))
    frames = sequence(one.get("frames"))[-MAX_FRAMES:]
    return RaisedException(
        type=bare,
        module=module or label(one.get("exc_module")),
        value=text(one.get("exc_value")),
        frames=tuple(_frame(mapping(frame)) for frame in frames),
    )


def _frame(frame: dict[str, Any]) -> Frame:
    path, variables = label(frame.get("filename")), frame.get("locals")
    return Frame(
        path=path,
        function=label(frame.get("name")),
        line=whole(frame.get("lineno")) or 0,
        in_app=False if is_library_path(path) else None,
        source=text(frame.get("line")),
        variables=variables if isinstance(variables, dict) else None,
    )
