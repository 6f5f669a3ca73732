"""Detecting: hourly tables to the detectors, and what they found to the table `detected`.

Detectors look at full hours, so they look once an hour, when the newest hour in the tables is
another one, and when late data change an hour before it. What they find takes the place of what
they found for the same hours before.

Belongs here: when they look and what is kept. Does not belong: what each looks at (`detectors`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from selfdrive_dagster.adapters.warehouse.detectors import DETECTORS, Look
from selfdrive_dagster.adapters.warehouse.files import HOUR, by_hour
from selfdrive_dagster.adapters.warehouse.models import DETECTED, DETECTED_FROM
from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.adapters.warehouse.tables import frame_of
from selfdrive_dagster.config import Detect, Issues
from selfdrive_dagster.issues.detect import DetectedRow, Finding, Use, rows_of

HEARD = ("requests", "actions", "resources")
"""The tables that know of the hour that still goes on."""

BY_HOUR = tuple(name for name in DETECTED_FROM if not name.endswith("_daily"))

KEPT = timedelta(hours=48)
"""How far back sightings of a finding go: the ranking looks at a day and an hour's history."""


def detect(warehouse: Warehouse, end: datetime, detect: Detect, issues: Issues) -> int:
    """Look at all hours before `end` and keep what was found; return the number of rows."""
    look = Look(warehouse, end, detect, issues)
    findings = [recent(each, end) for find in DETECTORS for each in find(look)]
    rows = rows_of(findings, _uses(look, findings))
    keep(warehouse, rows, end)
    return len(rows)


class Standing(msgspec.Struct, frozen=True):
    """What there is to look at: the newest hour, and the newest files of the full hours before."""

    hour: datetime
    full: tuple[int, ...]


def standing(warehouse: Warehouse) -> Standing | None:
    """Return how the hourly tables stand, None when all are empty.

    It changes with each new hour, and when late data change an hour that was full.
    """
    hours = [hour for name in HEARD for file in warehouse.live(name).files for hour in file.hours]
    if not hours:
        return None
    newest = max(hours)
    full = tuple(
        max(
            (
                f.sequence
                for f in warehouse.live(name).files
                if min(f.hours, default=newest) < newest
            ),
            default=0,
        )
        for name in BY_HOUR
    )
    return Standing(datetime.strptime(newest, HOUR).replace(tzinfo=UTC), full)


def recent(finding: Finding, end: datetime) -> Finding:
    """Return a finding with the hours that are still kept."""
    hours = tuple(hour for hour in finding.hours if hour >= end - KEPT)
    return msgspec.structs.replace(finding, hours=hours)


def keep(warehouse: Warehouse, rows: Sequence[DetectedRow], end: datetime) -> None:
    """Put rows in place of those of the kept hours; an hour that stays the same is not touched."""
    begin = end - KEPT
    was = warehouse.query(
        f"SELECT * FROM {DETECTED} WHERE timestamp >= $begin",  # noqa: S608 - our own name
        {"begin": begin},
    )
    old = by_hour(was.select(frame_of(DETECTED, ()).columns).sort("event_id"), "timestamp")
    new = by_hour(frame_of(DETECTED, rows).sort("event_id"), "timestamp")
    empty = frame_of(DETECTED, ())
    changed = {
        hour: new.get(hour, empty)
        for hour in {*old, *new}
        if hour not in old or hour not in new or not old[hour].equals(new[hour])
    }
    if changed:
        warehouse.replace_partitions(DETECTED, dict(sorted(changed.items())), like=empty)


_USES = """
SELECT service_name, feature, event_hour, session_id, enduser_pseudo_id, uses
FROM uses_hourly
WHERE event_hour >= $begin AND event_hour < $end
"""


def _uses(look: Look, findings: Iterable[Finding]) -> Mapping[Any, Iterable[Use]]:
    wanted = {(each.service_name, each.subject) for each in findings}
    whole = {each.service_name for each in findings if each.of_service}
    uses: dict[tuple[str, str, datetime], list[Use]] = defaultdict(list)
    if not wanted:
        return uses
    for row in look.ask(_USES, KEPT):
        if (row["service_name"], row["feature"]) in wanted:
            key = (row["service_name"], row["feature"], row["event_hour"])
            uses[key].append(msgspec.convert(row, Use))
        if row["service_name"] in whole:
            everybody = (row["service_name"], "", row["event_hour"])
            uses[everybody].append(msgspec.convert(row, Use))
    return uses
