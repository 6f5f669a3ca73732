"""A proposal: what is known of one change, and what is put before people.

`Findings` gathers the records of the stages before; the page (`page`) and the commit message
are written from them, and `draw_proposal` notes what became of it. Belongs here: the records
and the words of a commit. Does not belong: pushing (`adapters.proposals`).
"""

from enum import Enum

import msgspec

from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.model import (
    Candidate,
    Claim,
    Diagnosis,
    Report,
    Reproduction,
    Verdict,
    Way,
    digest,
)
from selfdrive_dagster.patches.earlier import Earlier
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout.markdown import SUBJECT, commit_message, wrapped
from selfdrive_dagster.validation import Proof

PAGE_FOLDER = ".selfdrive/changes"


class Form(Enum):
    """How a proposal is put before people; its value is the verb of the commit's subject."""

    CERTIFIED = "Fix"
    CONTAINED = "Contain"
    UNPROVEN = "Diagnose"


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the stages found for one change."""

    change_id: str
    issue: RankedIssue
    diagnosis: Diagnosis
    reproduction: Reproduction
    search: Search
    proof: Proof
    earlier: tuple[Earlier, ...] = ()

    @property
    def digests(self) -> dict[str, str]:
        """The sha256 of each record, under the asset that made it: its name as evidence."""
        records = {
            "patches/diagnosis": self.diagnosis,
            "patches/reproducer": self.reproduction,
            "patches/candidates": self.search,
            "validation/report": self.proof,
        }
        return {asset: digest(record) for asset, record in records.items()}

    @property
    def form(self) -> Form:
        """What may be claimed of it; whatever is not certified or contained is unproven."""
        return form_of(self.report if self.proof.best is not None else None)

    @property
    def shown(self) -> Candidate | None:
        """The candidate the page is about: the best, else the likeliest that was judged."""
        judged = [report.candidate_id for report in self.proof.reports]
        likeliest = (c for c in self.search.plausible if c.id in judged)
        return self.proof.best or next(likeliest, None)

    @property
    def proposed(self) -> Candidate | None:
        """The candidate that goes onto the branch: none that is unproven ever does."""
        return None if self.form is Form.UNPROVEN else self.proof.best

    @property
    def report(self) -> Report | None:
        """What was proven of the shown candidate."""
        shown = self.shown
        reports = (r for r in self.proof.reports if shown and r.candidate_id == shown.id)
        return next(reports, None)

    @property
    def function(self) -> str:
        """Where it happens, by its name in the tree; "" when no frame was found there."""
        return function_of(self.diagnosis, self.shown)

    @property
    def exception(self) -> str:
        """What is raised, if it is a name at all: the type came from telemetry."""
        return exception_of(self.diagnosis)


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where a proposal goes. `remote` as people may read it, "" when the branch stays here."""

    branch: str
    into: str
    remote: str = ""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What was put before people. `patch` and `reproducer_path` are None when not on the branch.

    `verdict`, `claim` and `reason` are of the candidate the page shows, None when no patch was
    judged. Digests are sha256; `seconds` is what search and proof took. `way` is how it was
    reproduced, None when it was not; `tried` counts candidates.
    """

    change_id: str
    issue_id: str
    base_revision: str
    branch: str
    commit: str
    pushed_to: str
    title: str
    claim: Claim | None
    verdict: Verdict | None
    reason: str | None
    invented: str
    patch: str | None
    patch_sha256: str | None
    reproducer_path: str | None
    reproducer_sha256: str | None
    report_sha256: str
    page: str
    page_path: str
    page_sha256: str
    seconds: float
    way: Way | None = None
    tried: int = 0


def page_path(change_id: str) -> str:
    """Return where a change's page lies on its branch."""
    return f"{PAGE_FOLDER}/{change_id}.md"


def branch_name(change_id: str) -> str:
    """Return the name of a change's branch."""
    return f"loop/{change_id}"


def draw_proposal(
    findings: Findings, destination: Destination, *, commit: str, page: str
) -> Proposal:
    """Note what was put before people, once it is there."""
    report, proposed = findings.report, findings.proposed
    made = findings.reproduction.reproducer
    return Proposal(
        change_id=findings.change_id,
        issue_id=findings.issue.issue_id,
        base_revision=findings.diagnosis.revision,
        branch=destination.branch,
        commit=commit,
        pushed_to=destination.remote,
        title=title_of(findings),
        claim=report.claim if report else None,
        verdict=report.verdict if report else None,
        reason=report.reason if report else None,
        invented=findings.shown.invented if findings.shown else "",
        patch=proposed.patch if proposed else None,
        patch_sha256=digest(proposed.patch.encode()) if proposed else None,
        reproducer_path=made.path if made else None,
        reproducer_sha256=digest(made) if made else None,
        report_sha256=findings.digests["validation/report"],
        page=page,
        page_path=page_path(findings.change_id),
        page_sha256=digest(page.encode()),
        seconds=seconds_of(findings),
        way=made.way if made else None,
        tried=findings.search.tried,
    )


def seconds_of(findings: Findings) -> float:
    """Return what search and proof took."""
    return round(findings.search.seconds + sum(r.seconds for r in findings.proof.reports), 3)


def title_of(findings: Findings) -> str:
    """Return the subject: a plain imperative of at most 72 characters, of names alone.

    A stranger's message is never part of it.
    """
    return subject_of(findings.form, findings.exception, findings.function)


def form_of(report: Report | None) -> Form:
    """Return what a report allows to claim of the best patch; without one, nothing."""
    if report is None:
        return Form.UNPROVEN
    forms = {Verdict.CERTIFIED: Form.CERTIFIED, Verdict.CONTAINED: Form.CONTAINED}
    return forms.get(report.verdict, Form.UNPROVEN)


def function_of(diagnosis: Diagnosis, shown: Candidate | None) -> str:
    """Return where it happens, by a name in the tree; "" when none is known."""
    frames = diagnosis.frames
    name = frames[0].function if frames else shown.function if shown else ""
    return name if is_name(name) else ""


def exception_of(diagnosis: Diagnosis) -> str:
    """Return what is raised, if it is a name at all: the type came from telemetry."""
    short = diagnosis.exception_type.rpartition(".")[2]
    return short if is_name(short) else "a failure"


def subject_of(form: Form, what: str, where: str) -> str:
    """Return a subject that fits a line of `git log`, made of names."""
    verb = form.value
    whole = f"{verb} {what} in {where}" if where else f"{verb} {what}"
    short = f"{verb} {what} in {where.rpartition('.')[2]}"
    return next((line for line in (whole, short) if len(line) <= SUBJECT), whole[:SUBJECT])


def message_of(findings: Findings) -> str:
    """Return the commit's message: subject, the issue's sentence, verdict and claim.

    What telemetry wrote stays out, but for names; numbers tell how much it hurts.
    """
    where = f" in {findings.function}" if findings.function else ""
    issue = f"{findings.exception}{where} {hurts(findings.issue)}."
    own = f"Change {findings.change_id} of {findings.issue.issue_id}; what was proven and what "
    own += f"was not stands in {page_path(findings.change_id)}."
    paragraphs = (title_of(findings), issue, verdict_sentence(findings), own)
    return commit_message("\n\n".join([paragraphs[0], *map(wrapped, paragraphs[1:])]))


def verdict_sentence(findings: Findings) -> str:
    """Return verdict and claim as a sentence."""
    return claim_sentence(findings.form, findings.report, findings.shown)


def claim_sentence(form: Form, report: Report | None, shown: Candidate | None) -> str:
    """Return what is claimed of a patch and how far that is proven."""
    if report is None or shown is None:
        return "UNPROVEN, a diagnosis only: no patch could be judged."
    if form is Form.CERTIFIED:
        return f"CERTIFIED, a repair: {report.reason}."
    if form is Form.CONTAINED:
        return f"CONTAINED, a mitigation whose value is invented: {invention(shown)}."
    verdict = report.verdict.value.upper()
    return f"UNPROVEN, no patch is on this branch. The likeliest one is {verdict}."


def invention(candidate: Candidate) -> str:
    """Return the invented behaviour in words; a mitigation that does not tell invents all."""
    return candidate.invented or "nobody can say what it returns instead"


def hurts(issue: RankedIssue) -> str:
    """Return an issue's numbers as the end of a sentence; unknown is said, never zero."""
    users = counted(issue.users, "user")
    sessions = counted(issue.sessions, "session")
    since = f"{issue.first_seen:%Y-%m-%d %H:%M} UTC"
    return (
        f"hit {users} in {sessions} with {counted(issue.events_24h, 'event')} in 24 hours, "
        f"{issue.events_total} in all since {since}"
    )


def counted(count: int | None, noun: str) -> str:
    """Return a count with its noun; None is an unknown number."""
    if count is None:
        return f"an unknown number of {noun}s"
    return f"{count} {noun}{'s' * (count != 1)}"


def is_name(text: str) -> bool:
    """Say whether a text is a dotted name of Python, such as `Cart.total.<locals>.add`."""
    marks = ("<locals>", "<lambda>", "<module>")
    return all(part.isidentifier() or part in marks for part in text.split("."))
