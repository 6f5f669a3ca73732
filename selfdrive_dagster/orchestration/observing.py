"""What comes of a change that users have: the turns of its rollout, its outcome after the soak."""

from datetime import datetime, timedelta
from typing import Any

from selfdrive_dagster.adapters.changes import Authority, Change
from selfdrive_dagster.adapters.git.releases import versions_with
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.adapters.warehouse.exposure import sessions_on, versions_of
from selfdrive_dagster.audit import Link
from selfdrive_dagster.audit.outcome import Outcome, OutcomeKind, judge_outcome
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Claim
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout.canary import Plan
from selfdrive_dagster.rollout.effects import Kind
from selfdrive_dagster.rollout.lifecycle import Event, Fact, State
from selfdrive_dagster.rollout.observed import HEAD_MOVED, Observed

LOOKED_BACK = timedelta(days=7)
"""From so far back before the release the old rate is taken."""

OBSERVED = "observed"
"""Under this name a move names the evidence that it rests on."""

MERGED = f"change.{Event.MERGED.value}"
RELEASED = f"change.{Event.RELEASED.value}"
EXPOSED, BUILT = f"change.{Event.EXPOSED.value}", f"change.{Event.BUILT.value}"
MERGE = f"effect.{Kind.MERGE.value}"
WATCHED = (State.OBSERVING, State.PROMOTED)
"""Where the soak runs."""


def note_release(workshop: Workshop, change: Change, by: Authority, now: datetime) -> str | None:
    """Move a merged change on once a version that holds it is at work; return that version.

    Raises BadInput when the ledger does not tell which commit brought it in.
    """
    commit = str(told(workshop, change, MERGED)["commit"])
    known = versions_of(workshop.warehouse, change.service)
    found = versions_with(workshop.repository(), commit, known)
    if not found:
        return None
    body = {
        "commit": commit,
        "version": found[0],
        "first_seen": known[found[0]].isoformat(),
    }
    facts = {Fact.RELEASE_SEEN_IN_TELEMETRY}
    workshop.changes.move(change.change_id, Event.RELEASED, by=by, now=now, facts=facts, body=body)
    return found[0]


def is_soaked(change: Change, plan: Plan, now: datetime) -> bool:
    """Say whether a release was watched long enough."""
    return change.state in WATCHED and now - change.since >= timedelta(minutes=plan.soak_minutes)


def weigh(workshop: Workshop, change: Change, claim: Claim | None, now: datetime) -> Outcome:
    """Count sessions before the release and on every version that holds it, and judge."""
    commits, since = released(workshop, change)
    known = versions_of(workshop.warehouse, change.service)
    repository = workshop.repository()
    held = (versions_with(repository, commit, known) for commit in commits)
    versions = tuple(dict.fromkeys(version for some in held for version in some))

    def count(start: datetime, end: datetime, *, on_them: bool) -> Any:
        return sessions_on(
            workshop.warehouse,
            change.service,
            change.issue_id,
            versions,
            on_them=on_them,
            since=start,
            until=end,
        )

    before = count(since - LOOKED_BACK, since, on_them=False)
    return judge_outcome(claim, before, count(since, now, on_them=True))


def released(workshop: Workshop, change: Change) -> tuple[tuple[str, ...], datetime]:
    """Return the change as users got it and as it was merged, and since when the first had it."""
    if change.state is State.PROMOTED:
        rows = workshop.ledger.find(EXPOSED, change.change_id)
        if not rows:
            raise BadInput(f"The ledger has no row {EXPOSED} of {change.change_id}.")
        merged = workshop.ledger.find(MERGE, change.change_id)
        commits = [told(workshop, change, BUILT)["commit"]]
        commits += [row.entry.body["wanted"]["commit"] for row in merged]
        return tuple(dict.fromkeys(map(str, commits))), rows[0].entry.at
    release = told(workshop, change, RELEASED)
    return (str(release["commit"]),), datetime.fromisoformat(str(release["first_seen"]))


def resolved(workshop: Workshop) -> dict[str, datetime]:
    """Return when each issue was last found to be gone, by the verified outcome of a change."""
    found: dict[str, datetime] = {}
    for change in workshop.changes.all():
        if change.state is not State.LEARNED:
            continue
        rows = workshop.ledger.find(MADE, change.change_id, {"asset": "audit/outcome"})
        for row in rows:
            outcome = workshop.evidence.get(str(row.entry.body["sha256"]), Outcome)
            if outcome.kind is OutcomeKind.VERIFIED:
                found[change.issue_id] = max(row.entry.at, found.get(change.issue_id, row.entry.at))
    return found


def told(workshop: Workshop, change: Change, kind: str) -> dict[str, Any]:
    """Return what the newest ledger row of a kind says. Raises BadInput when there is none."""
    rows = workshop.ledger.find(kind, change.change_id)
    if not rows:
        raise BadInput(f"The ledger has no row {kind} of {change.change_id}.")
    return rows[0].entry.body


def last_turn(workshop: Workshop, change_id: str) -> Observed:
    """Return what the newest move of a rollout rested on. Raises BadInput when it has none yet."""
    turns = [row for row in workshop.ledger.entries(change_id) if is_turn(row)]
    if not turns:
        raise BadInput(f"No evidence was judged of {change_id} yet.")
    return workshop.evidence.get(str(turns[-1].entry.body[OBSERVED]), Observed)


def is_turn(row: Link) -> bool:
    """Say whether a row of the ledger is a move that rests on evidence of a rollout."""
    return row.entry.kind.startswith("change.") and bool(row.entry.body.get(OBSERVED))


def asks_for_head(row: Link) -> bool:
    """Say whether the controller found the product's branch further on, at the end of a bake."""
    return row.entry.kind == HEAD_MOVED
