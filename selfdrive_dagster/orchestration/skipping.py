"""The ranking with what operators skip; a skip whose issue came back or grew is taken back here.

Belongs here: asking and noting. Does not belong: what ends a skip (`issues.skips`).
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from selfdrive_dagster.adapters.skips import Skips
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.recurring import seen_of
from selfdrive_dagster.issues.business import business_of
from selfdrive_dagster.issues.rank import RankedIssue
from selfdrive_dagster.issues.skips import cancelled, standing
from selfdrive_dagster.issues.triage import TriageSettings
from selfdrive_dagster.orchestration.stages import ACTOR
from selfdrive_dagster.orchestration.workshop import Workshop


def rank_skipping(
    workshop: Workshop, limits: TriageSettings, now: datetime, gone: Mapping[str, datetime]
) -> tuple[RankedIssue, ...]:
    """Rank with the skips that stand; where one is taken back, rank again without it."""
    kept = Skips(workshop.engine, workshop.warehouse.root)
    skips = standing(kept.all(), now)
    ranked = _rank(workshop, replace(limits, skips=skips), now, gone)
    seen = seen_of(workshop.warehouse, tuple(skips), ranked, gone, now)
    ended = cancelled(skips, seen, actor=ACTOR)
    kept.record(*ended)
    if not ended:
        return ranked
    names = {each.issue_id for each in ended}
    left = {name: skip for name, skip in skips.items() if name not in names}
    return _rank(workshop, replace(limits, skips=left), now, gone)


def _rank(
    workshop: Workshop, limits: TriageSettings, now: datetime, gone: Mapping[str, datetime]
) -> tuple[RankedIssue, ...]:
    return rank_issues(
        workshop.warehouse,
        now,
        settings=limits,
        business=business_of(workshop.settings),
        resolved=gone,
    )
