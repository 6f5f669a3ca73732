"""Questions about how a change met users: fixed before, who met it, what was seen, what followed.

A change that Selfdrive did not roll out answers them with that.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from selfdrive_dagster.audit.dossier.asking import Question
from selfdrive_dagster.audit.dossier.case import OBSERVED, Case
from selfdrive_dagster.audit.ledger import Link
from selfdrive_dagster.model import digest
from selfdrive_dagster.rollout.canary import Plan
from selfdrive_dagster.rollout.lifecycle import Event, State
from selfdrive_dagster.rollout.observed import Observed
from selfdrive_dagster.rollout.proposal import Proposal
from selfdrive_dagster.validation.head import HeadProof

RETURNED, SET_WEIGHT, MERGE = "traffic.returned", "effect.set_weight", "effect.merge"
NOTHING = "Selfdrive rolled nothing out"
LOOP = "selfdrive"
BY_PEOPLE = (Event.PAUSE, Event.RESUME, Event.ADVANCE, Event.ABORT)


def plan_of(case: Case) -> Plan | None:
    """Return the plan of a rollout as the ledger has it since before users, None without one."""
    built = case.moves(Event.BUILT)
    told = built[-1].entry.body.get("plan") if built else None
    return msgspec.convert(told, Plan) if told else None


def thresholds_of(case: Case) -> str:
    """Return the digest of the latency thresholds that the ledger named, "" without one."""
    rows = case.moves(Event.BUILT)
    return str(rows[-1].entry.body.get("thresholds", "")) if rows else ""


def _deployed(case: Case) -> str:
    if State.OBSERVING in case.visited:
        row = next(r for r in reversed(case.rows) if r.entry.kind == "change.released")
        version, since = row.entry.body.get("version"), row.entry.body.get("first_seen")
        return f"Selfdrive deployed nothing; others released it: {version} was at work at {since}"
    if State.MERGED_OUTSIDE in case.visited:
        return "Selfdrive deployed nothing; others merged it"
    exposed, built = case.moves(Event.EXPOSED), case.moves(Event.BUILT)
    if not built:
        return "Selfdrive deployed nothing"
    commit = str(built[-1].entry.body.get("commit", ""))[:12]
    if not exposed:
        return f"no: {commit} was built, and nobody was led to it"
    return f"yes, rolled out by Selfdrive: {commit} from {_clock(exposed[-1].entry.at)} on"


def _fixed(case: Case) -> str | None:
    plan = plan_of(case)
    if plan is None:
        return None if case.moves(Event.BUILT) else NOTHING
    stages = ", ".join(f"{one.share:.0%} (margin {one.margin:g})" for one in plan.stages)
    rails = ", ".join(f"{one.name} ≤ {one.tolerable:g}" for one in plan.guardrails)
    return (
        f"plan {digest(plan)[:16]}: {stages}, then {plan.bake_share:.0%} for "
        f"{plan.bake_minutes:g} minutes; {rails}; harm at α = {plan.alpha:g}, safe at β = "
        f"{plan.beta:g}; {_slowness(case)}"
    )


def _slowness(case: Case) -> str:
    """Say which requests counted as slow, and whether the ledger named that before."""
    named, kept = thresholds_of(case), case.thresholds
    if kept is None:
        return "what counted as slow is NOT RECORDED"
    usual = kept.record
    told = f"slow beyond {usual.p50:.3f}, {usual.p90:.3f}, {usual.p99:.3f} s"
    if not named:
        return f"{told}, which the ledger does not name"
    same = "" if named == kept.sha256 else ", WHICH IS NOT WHAT THE LEDGER NAMES"
    return f"{told} (of {usual.sessions} sessions before){same}"


def _cited_plan(case: Case) -> tuple[str, ...]:
    plan = plan_of(case)
    return tuple(one for one in (digest(plan) if plan else "", thresholds_of(case)) if one)


def _met(case: Case) -> str | None:
    if State.CANARY not in case.visited:
        return "nobody met it by Selfdrive"
    plan, newest = plan_of(case), case.newest_look
    if plan is None or newest is None:
        return None
    stages = "; ".join(_stages(case, plan, newest))
    between = [one.exposed for one in newest.windows if one.share is None]
    while_changing = sum(one.canary for one in between)
    rest = f"; {while_changing} more while the share changed" if while_changing else ""
    return f"{stages}{rest}. A session is one visitor's; users are not told apart from it"


def _stages(case: Case, plan: Plan, newest: Observed) -> Iterator[str]:
    """Yield, for each share that was served, since when and how many sessions met the change."""
    shares = [one.share for one in plan.stages]
    entered = (
        (f"stage {number} at {share:.0%}", share, _entered(case, State.CANARY, number))
        for number, share in enumerate(shares, start=1)
    )
    bake = (f"bake at {plan.bake_share:.0%}", plan.bake_share, _entered(case, State.BAKING, None))
    for name, share, row in (*entered, bake):
        if row is None:
            continue
        served = [one.exposed for one in newest.windows if one.share == share]
        canary, total = sum(one.canary for one in served), sum(one.total for one in served)
        yield f"{name} {_read_back(case, row, share)}: {canary} of {total} sessions"


def _entered(case: Case, state: State, stage: int | None) -> Link | None:
    """Return the first row that led to a state, at a stage if one is named."""
    for row in case.rows:
        told = row.entry.body
        if told.get("to") == state.value and stage in (None, told.get("stage")):
            return row
    return None


def _read_back(case: Case, entered: Link, share: float) -> str:
    """Say when the proxy itself first told of a share after a stage was entered."""
    for row in case.of_kind(SET_WEIGHT):
        if row.seq > entered.seq and row.entry.body.get("wanted", {}).get("share") == share:
            return f"from {_clock(row.entry.at)}"
    return f"ordered at {_clock(entered.entry.at)}, never read back"


def _seen(case: Case) -> str | None:
    if State.CANARY not in case.visited:
        return "no evidence was gathered"
    told = [
        f"{_clock(row.entry.at)} {found.judgement.verdict.value} at {found.judgement.share:.0%}, "
        f"on {len(found.windows)} windows: {found.judgement.reason}"
        for row in case.turns
        if (found := case.observed.get(str(row.entry.body[OBSERVED]))) is not None
    ]
    return "; ".join(told) or None


def _cited_looks(case: Case) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(row.entry.body[OBSERVED]) for row in case.turns))


def _steered(case: Case) -> str:
    told = [
        f"{row.entry.kind.removeprefix('change.')} by {row.entry.actor} ({_named_by(row)}) at "
        f"{_clock(row.entry.at)}: {row.entry.body.get('reason') or row.entry.body.get('says', '')}"
        for row in case.moves(*BY_PEOPLE)
    ]
    return "; ".join(told) or "nobody intervened"


def _named_by(row: Link) -> str:
    """Say what stands behind the name of somebody who intervened."""
    if row.entry.kind == f"change.{Event.ADVANCE.value}":
        return "who signed it"
    if row.entry.actor == LOOP:
        return "which noted what somebody did without it, unsigned and without a name"
    return "as the system's account and git name them, unsigned"


def _taken_back(case: Case) -> str | None:
    rows = [row for row in case.rows if row.entry.body.get("to") == State.ROLLING_BACK.value]
    if not rows:
        return "no" if State.STAGED in case.visited else NOTHING
    trigger = rows[0]
    body, kind = trigger.entry.body, trigger.entry.kind.removeprefix("change.")
    why = body.get("says") or body.get("reason") or "its time was over"
    told = f"{kind} by {trigger.entry.actor} at {_clock(trigger.entry.at)}: {why}"
    restored = case.moves(Event.RESTORED)
    if not restored:
        return None if State.ROLLED_BACK in case.visited else f"{told}; not read back yet"
    seconds = (restored[-1].entry.at - trigger.entry.at).total_seconds()
    return (
        f"{told}. {_journal(case, trigger.entry.at)}the proxy told that it serves stable alone "
        f"{seconds:.1f} s after that; {_reverted(case)}"
    )


def _journal(case: Case, since: datetime) -> str:
    """Say when traffic itself went back, as the front's journal told the ledger."""
    rows = case.of_kind(RETURNED)
    if not rows:
        return ""
    first = rows[0].entry
    seconds = (first.at - since).total_seconds()
    when = f"{seconds:.1f} s after" if seconds >= 0 else f"{-seconds:.1f} s before"
    return f"Traffic went back {when} that ({first.body.get('cause')}); "


def _reverted(case: Case) -> str:
    if not case.of_kind(MERGE):
        return "it was never merged"
    return "its merge was reverted" if case.moves(Event.REVERTED) else "its merge stands yet"


def _promoted(case: Case) -> str | None:
    baked, built = case.moves(Event.BAKED), case.moves(Event.BUILT)
    if not baked:
        return "no" if built else NOTHING
    merges = case.of_kind(MERGE)
    if not (merges and built):
        return None
    landed = str(merges[-1].entry.body.get("wanted", {}).get("commit", ""))
    built_at = str(built[-1].entry.body.get("commit", ""))
    at = _clock(baked[-1].entry.at)
    return f"at {at}: the branch was moved to {landed[:12]}, {_as_what(case, landed, built_at)}"


def _as_what(case: Case, landed: str, built: str) -> str:
    """Say what the commit is that was merged: the one that users met, or its twin on a later head.

    Anything else is told in capitals.
    """
    proposed, again = _proposed(case), case.record("validation/head")
    if landed == built == proposed:
        return "the very commit that users met"
    found: HeadProof | None = again if again is not None and again.commit == landed else None
    if found is None:
        return f"WHICH IS NEITHER PROPOSED ({proposed[:12]}) NOR PROVEN ANEW"
    held = "held" if found.holds else "DID NOT HOLD"
    return f"the same patch on {found.head[:12]}, where its proof {held}"


def _proposed(case: Case) -> str:
    found: Proposal | None = case.record("rollout/proposal")
    return found.commit if found else ""


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


QUESTIONS = (
    Question("Did it reach users?", (), _deployed),
    Question("What was fixed before users met it?", (), _fixed, cites=_cited_plan),
    Question("Who met it, when, and at which share?", (), _met),
    Question("What did the live evidence say?", (), _seen, ("rollout/stage",), _cited_looks),
    Question("Who intervened on the way?", (), _steered),
    Question("Was it taken back, and how fast?", (), _taken_back),
    Question("Was it promoted, and as what?", (), _promoted, ("validation/head",)),
)
"""What is asked of a change that may have met users."""
