"""What `selfdrive repair --json` prints: the contract of docs/repair-json.md.

The first six fields are all that a script needs; the records behind them follow for whoever
wants to know why. Belongs here: names and their meaning. Does not belong: deciding anything.
"""

from typing import TYPE_CHECKING

import msgspec

from selfdrive_dagster.model import Candidate, Claim, Confidence, Diagnosis, Report, Reproduction
from selfdrive_dagster.patches.search import Search

if TYPE_CHECKING:
    from selfdrive_dagster.validation.repair import Repair

NOTHING = "none"
"""The verdict where no candidate was judged."""


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where a patch changes the code: `line` counts from 1, `function` is qualified."""

    path: str
    line: int
    function: str


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """One plausible candidate. `verdict` and `reason` are None where it was not judged."""

    rank: int
    id: str
    diff: str
    claim: Claim
    invented: str
    template: str
    generator: str
    location: Location
    verdict: str | None
    reason: str | None
    confidence: Confidence | None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer; `abstained_because` is None exactly where a patch is offered as `best`."""

    verdict: str
    candidates: tuple[Offered, ...]
    candidates_tried: int
    seconds: float
    abstained_because: str | None
    notes: tuple[str, ...]
    best: Candidate | None
    diagnosis: Diagnosis
    reproduction: Reproduction
    search: Search
    reports: tuple[Report, ...]


def answer_of(found: "Repair") -> Answer:
    """Return a repair as it is printed."""
    reports = {report.candidate_id: report for report in found.reports}
    return Answer(
        verdict=found.verdict.value if found.verdict else NOTHING,
        candidates=tuple(
            _offered(one, reports.get(one.id), found.confidences.get(one.id))
            for one in found.search.plausible
        ),
        candidates_tried=found.search.tried,
        seconds=found.seconds,
        abstained_because=_because(found),
        notes=found.notes,
        best=found.best,
        diagnosis=found.diagnosis,
        reproduction=found.reproduction,
        search=found.search,
        reports=found.reports,
    )


def _offered(one: Candidate, report: Report | None, sure: Confidence | None) -> Offered:
    return Offered(
        rank=one.rank,
        id=one.id,
        diff=one.patch,
        claim=report.claim if report else one.claim,
        invented=one.invented,
        template=one.family,
        generator=one.generator,
        location=Location(path=one.path, line=one.line, function=one.function),
        verdict=report.verdict.value if report else None,
        reason=report.reason if report else None,
        confidence=sure,
    )


def _because(found: "Repair") -> str | None:
    """Say why no patch is offered, None where one is."""
    if found.best is not None:
        return None
    if found.reproduction.reproducer is None:
        tries = "; ".join(f"{a.way.value}: {a.outcome}" for a in found.reproduction.attempts)
        return f"nothing reproduces it, so no patch can be proven ({tries or 'nothing was tried'})"
    if found.telling is None:
        return f"no candidate is plausible: {found.search.stopped}"
    return found.telling.reason
