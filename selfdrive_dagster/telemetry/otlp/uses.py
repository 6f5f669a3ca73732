"""OpenTelemetry events that tell what somebody did: rows of `product_events`, not of logs.

An event (a log record with a name) is a use if its name is one of USES, or if it names a session
or a user and its namespace is none of TECHNICAL.
"""

from typing import Any

import msgspec

from selfdrive_dagster.telemetry.arrivals import url_path
from selfdrive_dagster.telemetry.bounds import flag, label, text
from selfdrive_dagster.telemetry.rows import LogEventRow, ProductEventRow

USES = frozenset(
    {
        "app.screen.click",
        "app.widget.click",
        "browser.page_view",
        "browser.user_action.click",
    }
)
"""Names of the semantic conventions and of OpenTelemetry's browser SDK."""

TECHNICAL = ("feature_flag.", "exception", "gen_ai.", "device.", "app.", "browser.", "session.",
             "messaging.", "rpc.", "http.", "k8s.", "azure.", "az.")  # fmt: skip
WARNING = 13


def is_use(row: LogEventRow) -> bool:
    """Say whether a log event tells what somebody did."""
    name = row.event_name or ""
    if name in USES:
        return True
    is_somebody = bool(row.session_id or row.enduser_pseudo_id)
    is_quiet = (row.severity_number or 0) < WARNING and row.exception_type is None
    return bool(name) and is_somebody and is_quiet and not name.startswith(TECHNICAL)


def use_of(row: LogEventRow) -> ProductEventRow:
    """Return a log event as the use that it tells; its attributes are redacted already."""
    kept = msgspec.json.decode(row.attributes_json, type=dict[str, Any])

    def first(*names: str) -> str | None:
        return next((one for name in names if (one := label(kept.get(name)))), None)

    path = (
        text(kept.get("url.path"))
        or url_path(text(kept.get("url.full")))
        or text(kept.get("app.screen.name"))
    )
    return ProductEventRow(
        event_id=row.event_id,
        source=row.source,
        timestamp=row.timestamp,
        received_at=row.received_at,
        service_name=row.service_name,
        service_version=row.service_version,
        deployment_environment_name=row.deployment_environment_name,
        session_id=row.session_id,
        enduser_pseudo_id=row.enduser_pseudo_id,
        event_name=row.event_name or "",
        url_path=path.partition("?")[0] or None,
        target=first("app.widget.id", "app.widget.name", "target", "browser.xpath", "element_id"),
        target_tag=first("browser.tag_name", "tag_name"),
        form_id=first("form_id", "form.id", "form"),
        is_dead=flag(kept.get("is_dead")),
        attributes_json=row.attributes_json,
    )
