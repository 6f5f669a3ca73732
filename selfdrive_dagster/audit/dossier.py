"""The dossier of a change: an auditor's questions, each with an answer and the digests behind it.

The questions are a table, so that a new one is a row. What should have been recorded by where a
change stands and was not is NOT RECORDED, a gap; what lies ahead of it is said to lie ahead.
Belongs here: questions, answers, gaps of the record. Does not belong: fetching it
(`adapters.auditing`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from selfdrive_dagster.audit.ledger import Link
from selfdrive_dagster.audit.outcome import Outcome
from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.model import Diagnosis, Report, Reproduction
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout.approval import Approval
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.rollout.proposal import Proposal, counted, hurts
from selfdrive_dagster.validation import Proof

SHOWN = 3

EXPECTED = {
    State.VALIDATING: ("patches/diagnosis",),
    State.VALIDATED: ("patches/reproducer", "patches/candidates", "validation/report"),
    State.AWAITING_APPROVAL: ("rollout/proposal",),
    State.APPROVED: ("rollout/approval",),
}
"""Which records a change must have once it stood in a state."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One record that the ledger names; `record` is None when it cannot be had as stored."""

    asset: str
    sha256: str
    run_id: str
    seq: int
    record: Any
    fault: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a change: its ledger rows in order and its newest records by asset."""

    change_id: str
    issue_id: str
    base_revision: str
    state: State
    rows: tuple[Link, ...]
    kept: Mapping[str, Kept]
    issue: RankedIssue | None = None

    def record(self, asset: str) -> Any:
        """Return a record, None when there is none."""
        found = self.kept.get(asset)
        return found.record if found else None

    def digests(self, *assets: str) -> tuple[str, ...]:
        """Return the digests of records, those that are there."""
        return tuple(self.kept[one].sha256 for one in assets if one in self.kept)

    @property
    def visited(self) -> frozenset[State]:
        """Every state the ledger says it stood in, the present one too."""
        told = {str(row.entry.body.get("to", "")) for row in self.rows}
        return frozenset(state for state in State if state.value in told) | {self.state}

    @property
    def expected(self) -> tuple[str, ...]:
        """The records it must have by now."""
        return tuple(
            asset for state, assets in EXPECTED.items() if state in self.visited for asset in assets
        )

    @property
    def report(self) -> Report | None:
        """The report of what was proposed, else of the likeliest candidate that was judged."""
        proof: Proof | None = self.record("validation/report")
        if proof is None or not proof.reports:
            return None
        best = proof.best.id if proof.best else proof.reports[0].candidate_id
        return next((one for one in proof.reports if one.candidate_id == best), None)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One question answered. `says` None means NOT RECORDED, `is_ahead` that it is yet to come."""

    question: str
    says: str | None
    digests: tuple[str, ...] = ()
    is_ahead: bool = False


class Question(NamedTuple):
    """A row: what is asked, which records must tell, how they are read, and which may tell more."""

    asks: str
    needs: tuple[str, ...]
    tell: Callable[[Case], str | None]
    also: tuple[str, ...] = ()


def answers(case: Case) -> tuple[Answer, ...]:
    """Answer every question about a change."""
    return tuple(_answer(question, case) for question in QUESTIONS)


def _answer(question: Question, case: Case) -> Answer:
    missing = [asset for asset in question.needs if case.record(asset) is None]
    is_ahead = bool(missing) and not set(missing) & set(case.expected)
    says = "not reached yet" if is_ahead else None if missing else question.tell(case)
    digests = case.digests(*question.needs, *question.also)
    return Answer(question=question.asks, says=says, digests=digests, is_ahead=is_ahead)


def gaps(case: Case) -> Iterator[str]:
    """Yield what the record of a change lacks, first things first."""
    if not any(row.entry.kind == "change.opened" for row in case.rows):
        yield "NOT RECORDED: that it was opened"
    for asset in case.expected:
        found = case.kept.get(asset)
        if found is None:
            yield f"NOT RECORDED: {asset}"
        elif found.record is None:
            yield f"{asset}: {found.fault}"
    for row in case.rows:
        if not (row.entry.run_id or row.entry.signature):
            yield f"row {row.seq} names neither a run nor a signature"
    for answer in answers(case):
        if answer.says is None:
            yield f"NOT RECORDED: {answer.question}"


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
    return (
        f"the generator {proof.best.generator}, template {proof.best.family}; no model, no prompt"
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
    readable = ", which the signing account can read: it proves no person"
    until = f"{found.statement.expires:%Y-%m-%d %H:%M} UTC"
    proves = readable if found.statement.is_key_readable else ""
    return f"; signed with {found.fingerprint}{proves}; until {until}"


def _deployed(case: Case) -> str:
    if State.OBSERVING in case.visited:
        row = next(r for r in reversed(case.rows) if r.entry.kind == "change.released")
        version, since = row.entry.body.get("version"), row.entry.body.get("first_seen")
        return f"Selfdrive deployed nothing; others released it: {version} was at work at {since}"
    if State.MERGED_OUTSIDE in case.visited:
        return "Selfdrive deployed nothing; others merged it"
    return "Selfdrive deployed nothing"


def _worked(case: Case) -> str:
    if case.state is not State.LEARNED:
        return "not judged yet"
    found: Outcome | None = case.record("audit/outcome")
    if found is None:
        return "inconclusive: its time was over before anybody could tell"
    return f"{found.kind.value}: {found.reason}"


def _cost(case: Case) -> str:
    search: Search = case.record("patches/candidates")
    proof: Proof = case.record("validation/report")
    seconds = search.seconds + sum(one.seconds for one in proof.reports)
    return f"{seconds:.0f} s of this machine; no model was asked"


DIAGNOSIS, REPRODUCER, CANDIDATES = "patches/diagnosis", "patches/reproducer", "patches/candidates"
REPORT, PROPOSAL = "validation/report", "rollout/proposal"

QUESTIONS = (
    Question("What was changed?", (PROPOSAL,), _what),
    Question("Why, and why now?", (DIAGNOSIS,), _why_now),
    Question("Which telemetry told of it?", (DIAGNOSIS,), _telemetry),
    Question("Who or what made it?", (REPORT,), _maker),
    Question("Which alternatives were not taken?", (CANDIDATES, REPORT), _alternatives),
    Question("How was the failure reproduced?", (REPRODUCER,), _reproduced),
    Question("Where and how was it tested?", (REPORT,), _tested),
    Question("Which controls did it not pass?", (REPORT,), _bypassed),
    Question("What was concluded?", (REPORT,), _verdict),
    Question("Who decided, and why?", (PROPOSAL,), _approved, also=("rollout/approval",)),
    Question("Did it reach users?", (), _deployed),
    Question("Did it work?", (), _worked, also=("audit/outcome",)),
    Question("What did it cost?", (CANDIDATES, REPORT), _cost),
)
"""What `selfdrive audit` answers, in this order."""
