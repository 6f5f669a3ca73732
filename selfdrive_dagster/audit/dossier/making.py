"""Questions about how a change was made: what, why, by whom, proven how, at which cost."""

from collections import Counter

from selfdrive_dagster.audit.dossier.asking import Question
from selfdrive_dagster.audit.dossier.case import Case
from selfdrive_dagster.audit.ledger import Link
from selfdrive_dagster.audit.outcome import Outcome
from selfdrive_dagster.model import Ask, Diagnosis, Reproduction
from selfdrive_dagster.patches.asking.money import dollars
from selfdrive_dagster.patches.authors import UNKNOWN
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout.approval import Approval
from selfdrive_dagster.rollout.lifecycle import Event, State
from selfdrive_dagster.rollout.proposal import Proposal, counted, hurts
from selfdrive_dagster.validation import Proof


def _what(case: Case) -> str:
    proposal: Proposal = case.record("rollout/proposal")
    if proposal.patch is None:
        return f"nothing: {proposal.title} is a diagnosis, on {proposal.base_revision[:12]}"
    return (
        f"{proposal.title}: patch {str(proposal.patch_sha256)[:16]} on "
        f"{proposal.base_revision[:12]}, as commit {proposal.commit[:12]} on {proposal.branch}"
    )


def _why_now(case: Case) -> str | None:
    if case.issue is None:
        return None
    place, points = case.issue.rank, case.issue.score.total
    return f"{case.issue_id} stood at place {place} with {points:.1f} points: {hurts(case.issue)}"


def _telemetry(case: Case) -> str:
    diagnosis: Diagnosis = case.record("patches/diagnosis")
    if diagnosis.crash is None:
        return f"none: {counted(len(diagnosis.failing_tests), 'failing test')} told of it"
    users = None if case.issue is None else case.issue.users
    return (
        f"event {diagnosis.crash.event_id or 'without an id'}, one of {counted(users, 'user')}; "
        "senders are not told apart"
    )


def _maker(case: Case) -> str:
    proof: Proof = case.record("validation/report")
    if proof.best is None:
        return "no patch was proposed"
    if edits := case.moves(Event.PATCH_EDITED):
        last = edits[-1].entry
        return (
            f"{last.actor}, who amended it at {last.at:%Y-%m-%d %H:%M} UTC: {last.body['reason']}"
        )
    if proof.best.author == UNKNOWN:
        return "nobody knows: the patch was handed in and names no author"
    if proof.best.author:
        return f"{proof.best.author}, as the patch says that was handed in; nothing proves it"
    search: Search = case.record("patches/candidates")
    asks = [one for one in search.asks if one.generator == proof.best.generator and one.drafts]
    if asks:
        return f"the generator {proof.best.generator}: {'; '.join(map(_asked, asks))}"
    return (
        f"the generator {proof.best.generator}, template {proof.best.family}; no model, no prompt"
    )


def _asked(ask: Ask) -> str:
    """Return which model answered which prompt, under the name that the service knows it by."""
    return (
        f"{ask.returned_model} answered request {ask.request_id or 'without an id'}, prompt "
        f"{ask.prompt_sha256[:16]}, asked to {ask.purpose}"
    )


def _alternatives(case: Case) -> str:
    search: Search = case.record("patches/candidates")
    proof: Proof = case.record("validation/report")
    best = proof.best.id if proof.best else ""
    others = [one for one in proof.reports if one.candidate_id != best]
    judged = "; ".join(
        f"{one.candidate_id} {one.verdict.value}: {one.reason}" for one in others[:3]
    )
    return f"{search.tried} tried, {search.stopped}. Judged and not taken: {judged or 'none'}"


def _reproduced(case: Case) -> str:
    made: Reproduction = case.record("patches/reproducer")
    if made.reproducer is None:
        return f"not reproduced, after {counted(len(made.attempts), 'attempt')}: nothing is proven"
    return f"{made.reproducer.way.value} by {', '.join(made.reproducer.node_ids)}"


def _tested(case: Case) -> str:
    report = case.report
    if report is None:
        return "no patch was tested"
    told = {True: "passed", False: "failed", None: "unknown"}
    checks = ", ".join(f"{check.name} {told[check.passed]}" for check in report.checks)
    return f"in a sandbox of level {report.sandbox_level}, seed {report.seed}: {checks}"


def _bypassed(case: Case) -> str:
    report = case.report
    open_ends = [one.name for one in report.checks if one.passed is not True] if report else []
    return f"not passed: {', '.join(open_ends)}" if open_ends else "none"


def _verdict(case: Case) -> str:
    report = case.report
    if report is None:
        return "nothing was judged"
    return f"{report.verdict.value} as a {report.claim.value}: {report.reason}"


def _approved(case: Case) -> str:
    for row in reversed(case.rows):
        if row.entry.kind in ("change.reject", "change.approve", "change.merged"):
            told = row.entry.body.get("reason") or row.entry.body.get("commit") or ""
            verb = row.entry.kind.removeprefix("change.")
            at = f"{row.entry.at:%Y-%m-%d %H:%M} UTC"
            return f"{verb} by {row.entry.actor} at {at}: {told}{_signed(case, row)}"
    return "nobody yet" if case.state is State.AWAITING_APPROVAL else "nobody"


def _signed(case: Case, row: Link) -> str:
    """Return which key stands behind an approval, "" for what nobody signed."""
    found: Approval | None = case.record("rollout/approval")
    if row.entry.kind != "change.approve" or found is None:
        return ""
    until = f"{found.statement.expires:%Y-%m-%d %H:%M} UTC"
    return f"; signed with {found.fingerprint}: {found.statement.custody.says}; until {until}"


def _worked(case: Case) -> str:
    found: Outcome | None = case.record("audit/outcome")
    if found is not None:
        return f"{found.kind.value}: {found.reason}"
    if case.moves(Event.RESTORED):
        return "no: it was taken back"
    if case.state is not State.LEARNED:
        return "not judged yet"
    return "inconclusive: its time was over before anybody could tell"


def _cost(case: Case) -> str:
    search: Search = case.record("patches/candidates")
    proof: Proof = case.record("validation/report")
    seconds = search.seconds + sum(one.seconds for one in proof.reports)
    machine = f"{seconds:.0f} s of this machine"
    if not search.asks:
        return f"{machine}; no model was asked"
    ends = Counter(one.result.value for one in search.asks)
    told = ", ".join(f"{name} {count}" for name, count in ends.items())
    spent = dollars(sum(one.spent_micros for one in search.asks))
    return f"{machine}; {counted(len(search.asks), 'question')} to a model, {spent} ({told})"


def _left(case: Case) -> str:
    """Say what went to a model's service; the prompts themselves are not kept."""
    search: Search = case.record("patches/candidates")
    sent = [one for one in search.asks if one.reserved_micros]
    if not sent:
        return "nothing was sent to a model"
    kept = len(search.asks) - len(sent)
    prompts = ", ".join(dict.fromkeys(f"{one.prompt_sha256[:16]} to {one.model}" for one in sent))
    held = f"; {counted(kept, 'question')} held back" if kept else ""
    return (
        f"code, the exception's message and arguments, past the detectors of secrets: prompt "
        f"{prompts}{held}. The text of a prompt is not kept"
    )


DIAGNOSIS, REPRODUCER, CANDIDATES = "patches/diagnosis", "patches/reproducer", "patches/candidates"
REPORT, PROPOSAL = "validation/report", "rollout/proposal"

QUESTIONS = (
    Question("What was changed?", (PROPOSAL,), _what),
    Question("Why, and why now?", (DIAGNOSIS,), _why_now),
    Question("Which telemetry told of it?", (DIAGNOSIS,), _telemetry),
    Question("Who or what made it?", (REPORT, CANDIDATES), _maker),
    Question("Which alternatives were not taken?", (CANDIDATES, REPORT), _alternatives),
    Question("How was the failure reproduced?", (REPRODUCER,), _reproduced),
    Question("Where and how was it tested?", (REPORT,), _tested),
    Question("Which controls did it not pass?", (REPORT,), _bypassed),
    Question("What was concluded?", (REPORT,), _verdict),
    Question("Who decided, and why?", (PROPOSAL,), _approved, also=("rollout/approval",)),
)
"""How it came about, up to the decision."""

IN_THE_END = (
    Question("Did it work?", (), _worked, also=("audit/outcome",)),
    Question("What left this machine?", (CANDIDATES,), _left),
    Question("What did it cost?", (CANDIDATES, REPORT), _cost),
)
"""What came of it."""
