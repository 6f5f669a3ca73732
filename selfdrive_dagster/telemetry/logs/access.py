"""Access logs in the common and the combined format: a line is a request, and makes a span.

What such a line does not tell stays unknown: how long it took, unless `rt=` or `request_time=`
says it in seconds, and whose session it was. An address is no person: it is not kept.
"""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, deployments
from selfdrive_dagster.telemetry.bounds import check_rows, label, moment
from selfdrive_dagster.telemetry.logs.entry import SOURCE
from selfdrive_dagster.telemetry.rows import Records, SpanRow

LINE = re.compile(
    r"(?P<host>\S{1,253}) \S+ (?P<user>.{1,200}?) \[(?P<when>[^\]]{20,30})\] "
    r'"(?P<method>[A-Z]{1,16}) (?P<target>\S{1,4000})(?: HTTP/[\d.]{1,4})?" '
    r"(?P<status>[1-5]\d\d) (?P<bytes>\d{1,18}|-)"
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?(?P<rest>.*)\Z'
)
_TOOK = re.compile(r"\b(?:rt|request_time)=\"?(?P<seconds>\d{1,6}(?:\.\d{1,9})?)")
_WHEN = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\Z")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def is_access_line(line: str) -> bool:
    """Say whether a line is one of an access log."""
    return len(line) <= 16_000 and LINE.match(line) is not None


def read_access_log(log: str, place: str, arrival: Arrival) -> Records:
    """Return a span for each line; lines of another shape are told in `rejected`."""
    lines = [line for line in log.splitlines() if line.strip()]
    check_rows(len(lines), place)
    ordinals, rows, rejected = Ordinals(), [], []
    for number, line in enumerate(lines, start=1):
        found = LINE.match(line) if is_access_line(line) else None
        when = _moment(found["when"]) if found else None
        if found is None or when is None:
            rejected.append(f"{place}, entry {number} is no line of an access log")
        else:
            rows.append(_span(found, when, arrival, ordinals))
    spans = tuple(rows)
    return Records(
        spans=spans, deployments=deployments(spans, SOURCE, arrival), rejected=tuple(rejected)
    )


def _span(found: re.Match[str], when: datetime, arrival: Arrival, ordinals: Ordinals) -> SpanRow:
    redact = arrival.redactor
    target = _split(found["target"])
    path, query = redact.text(target[0]), redact.text(target[1])
    status, took = int(found["status"]), _TOOK.search(found["rest"])
    user = "" if found["user"] == "-" else redact.pseudonym("user", found["user"])
    method = label(found["method"])
    said = {
        "url.query": query,
        "user_agent.original": redact.text(found["agent"] or ""),
        "http.response.body.size": 0 if found["bytes"] == "-" else int(found["bytes"]),
    }
    sender = redact.pseudonym("address", found["host"])
    named = ordinals.event_id("access", sender, when, method, path, status, user, said)
    return SpanRow(
        event_id=named,
        source=SOURCE,
        timestamp=when,
        received_at=arrival.received_at,
        service_name=arrival.service_name,
        service_version=None,
        deployment_environment_name=None,
        trace_id=named[:32],
        span_id=named[32:48],
        parent_span_id=None,
        session_id=None,
        enduser_pseudo_id=user or None,
        name=f"{method} {path}",
        kind="SERVER",
        duration_ms=float(took["seconds"]) * 1000 if took else None,
        status_code="ERROR" if status >= 500 else "UNSET",
        error_type=str(status) if status >= 500 else None,
        http_request_method=method,
        http_response_status_code=status,
        url_path=path or None,
        attributes_json=canonical({name: one for name, one in said.items() if one}).decode(),
    )


def _split(target: str) -> tuple[str, str]:
    try:
        parts = urlsplit(target)
    except ValueError:
        return target.partition("?")[0], ""
    return parts.path, parts.query


def _moment(text: str) -> datetime | None:
    """Return the UTC time of `27/Nov/2026:08:00:01 +0100`, in whatever language we run."""
    found = _WHEN.match(text)
    if found is None or found[2] not in MONTHS:
        return None
    day, month, year, clock, offset = found.groups()
    said = moment(f"{year}-{MONTHS.index(month) + 1:02}-{day}T{clock}{offset}")
    return None if said is None else said.astimezone(UTC)
