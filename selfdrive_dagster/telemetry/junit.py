"""JUnit files: how the tests of the product's main branch went, as pytest and others write them.

Only what did not pass is worth a row besides how many ran: each failing test is one. A file with a
document type is refused, since nobody needs one and its entities can blow up. Belongs here: the
format. Does not belong: running tests.
"""

from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals
from selfdrive_dagster.telemetry.bounds import check_rows, label, moment
from selfdrive_dagster.telemetry.rows import Records, TestResultRow

SOURCE = "junit"
BAD = ("failure", "error")


def is_junit(head: bytes) -> bool:
    """Say whether a file begins as a JUnit file does."""
    return head.lstrip()[:1] == b"<" and b"<testsuite" in head


def read_junit(data: bytes, name: str, arrival: Arrival) -> Records:
    """Return one row for each test that was run.

    Raises BadInput for what is no JUnit file, and for one with a document type.
    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise BadInput(f"{name} declares a document type.", remedy="Leave it out: JUnit has none.")
    try:
        root = Xml.fromstring(data)  # noqa: S314 - no document type, so no entities
    except Xml.ParseError as fault:
        raise BadInput(f"{name} is no whole XML: {fault}.") from None
    if root.tag not in ("testsuites", "testsuite"):
        raise BadInput(f"{name} is XML, but no JUnit file (its root: {label(root.tag)!r}).")
    cases = list(_cases(root))
    check_rows(len(cases), name)
    ordinals = Ordinals()
    return Records(test_results=tuple(_row(*each, arrival, ordinals) for each in cases))


def _cases(root: Xml.Element) -> Iterator[tuple[Xml.Element, str]]:
    suites = [root] if root.tag == "testsuite" else list(root.iter("testsuite"))
    for suite in suites:
        for case in suite.findall("testcase"):
            yield case, suite.get("timestamp", "")


def _row(case: Xml.Element, told: str, arrival: Arrival, ordinals: Ordinals) -> TestResultRow:
    fault = next((case.find(tag) for tag in BAD if case.find(tag) is not None), None)
    when = moment(told)
    names = (label(case.get("classname")), label(case.get("name")))
    test = "::".join(name for name in names if name)
    outcome = "failed" if fault is not None else "passed"
    if case.find("skipped") is not None:
        outcome = "skipped"
    message = (fault.get("message") or fault.text or "") if fault is not None else ""
    return TestResultRow(
        event_id=ordinals.event_id(SOURCE, arrival.service_name, told, test, outcome),
        source=SOURCE,
        timestamp=when or arrival.received_at,
        received_at=arrival.received_at,
        service_name=arrival.service_name,
        test_case_name=arrival.redactor.text(test),
        test_case_result_status=outcome,
        duration_ms=_milliseconds(case.get("time")),
        message=arrival.redactor.text(message.strip().partition("\n")[0][:500]) or None,
    )


def _milliseconds(seconds: str | None) -> float | None:
    try:
        return float(seconds or "") * 1000
    except ValueError:
        return None
