"""What a detector found, and its rows among the sightings of issues.

A finding stands for hours. Belongs here: the
records. Does not belong: the mathematics (its neighbours) or the tables (the warehouse).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from selfdrive_dagster.model import digest


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What one visitor did in an hour with one feature."""

    session_id: str | None
    enduser_pseudo_id: str | None
    uses: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that hurts, told by numbers: of `kind`, at `subject`, in the hours `hours`.

    `detail` names the issue in few words and stays the same while it lasts; `says` explains it
    with its numbers. Whoever used the subject in those hours met it; `of_service`: whoever used
    the service. `met_by` names them where that is another matter, such as users who are gone.
    """

    kind: str
    service_name: str
    subject: str
    detail: str
    says: str
    severity_text: str
    hours: tuple[datetime, ...]
    service_version: str | None = None
    of_service: bool = False
    met_by: tuple[Use, ...] = ()


class DetectedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One visitor who met a finding in one hour, `events` times; or nobody, once.

    `timestamp` is the start of the hour. `event_id` is made from the finding, hour and visitor.
    """

    event_id: str
    kind: str
    source: str = "detector"
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    deployment_environment_name: str | None = None
    session_id: str | None = None
    enduser_pseudo_id: str | None = None
    severity_text: str
    events: int
    subject: str
    detail: str
    says: str


Uses = Mapping[tuple[str, str, datetime], Iterable[Use]]
"""(service, feature, hour) → who used it; the feature "" is the whole service."""


def rows_of(findings: Iterable[Finding], uses: Uses) -> list[DetectedRow]:
    """Return the sightings of findings: one row per hour and visitor, one if nobody was there.

    Two findings of one issue, such as two processes that leak alike, are one sighting.
    """
    nobody = (Use(session_id=None, enduser_pseudo_id=None, uses=1),)
    rows = (
        _row(finding, hour, use)
        for finding in findings
        for hour in finding.hours
        for use in finding.met_by or uses.get(_key(finding, hour)) or nobody
    )
    return list({row.event_id: row for row in rows}.values())


def _key(finding: Finding, hour: datetime) -> tuple[str, str, datetime]:
    return finding.service_name, "" if finding.of_service else finding.subject, hour


def _row(finding: Finding, hour: datetime, use: Use) -> DetectedRow:
    issue = [finding.kind, finding.service_name, finding.subject, finding.detail]
    return DetectedRow(
        event_id=digest([*issue, hour.isoformat(), use.session_id, use.enduser_pseudo_id]),
        kind=finding.kind,
        timestamp=hour,
        received_at=hour,
        service_name=finding.service_name,
        service_version=finding.service_version,
        session_id=use.session_id,
        enduser_pseudo_id=use.enduser_pseudo_id,
        severity_text=finding.severity_text,
        events=use.uses,
        subject=finding.subject,
        detail=finding.detail,
        says=finding.says,
    )
