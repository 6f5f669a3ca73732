"""A change that changes nothing, led to its approval without a proof: there is none to be had.

The report is made up here, in a home that lives as long as the bench, and a key made for the
demonstration signs it. What follows, from the examined signature on, is what any change goes
through. Does not belong here: how it fares with users.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine

from selfdrive_dagster.adapters.approving import Approvals, Desk
from selfdrive_dagster.adapters.changes import Authority, Change, Changes
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.adapters.outside import told_by
from selfdrive_dagster.adapters.proposals import (
    Proposed,
    propose,
    reader,
    released_head,
    remote_of,
)
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.cli.demo.theatre import Theatre
from selfdrive_dagster.config import load
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import (
    Candidate,
    Claim,
    Report,
    Reproduction,
    Verdict,
    digest,
    short_id,
)
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State
from selfdrive_dagster.rollout.proposal import branch_name, page_path
from selfdrive_dagster.validation import Proof

UNREAD = "README.md"
"""A file of the shop that no code reads."""

BENCH = "bench"
MADE_UP = "made up by a bench: nothing was proven, and nothing is to be"
NOTHING = Reproduction(reproducer=None, attempts=())
BACK = State.ROLLING_BACK.value
TO_PROPOSED = (
    (Event.START, Actor.LOOP),
    (Event.PROVEN, Actor.VALIDATOR),
    (Event.PROPOSE, Actor.LOOP),
)


class NoOp(NamedTuple):
    """A patch that changes nothing, on a base, and the page of its proposal."""

    change_id: str
    issue_id: str
    base: str
    candidate: Candidate
    page: str

    @property
    def patch_sha256(self) -> str:
        return digest(self.candidate.patch.encode())


class NoOps:
    """The no-op changes of one demonstration, in its database and its repository."""

    def __init__(self, theatre: Theatre, engine: Engine) -> None:
        self._theatre = theatre
        self._changes, self._decisions = Changes(engine), Decisions(engine)
        self._ledger = Ledger(engine)
        self._evidence = Evidence(theatre.folder / "home")
        self._settings = load(theatre.repo)
        self._commits: dict[str, str] = {}

    def propose(self, issue_id: str, says: str) -> str:
        """Put a no-op on top of the branch as it is now before people, and return its id."""
        repository, service = self._repository(), self._settings.service
        made = drawn(issue_id, says, repository, released_head(repository, service))
        by, now = acting(Actor.LOOP), datetime.now(UTC)
        self._changes.open(
            made.change_id, issue_id, service=service.name, base_revision=made.base, by=by, now=now
        )
        put = propose(
            repository,
            remote=remote_of(repository, service.repository),
            branch=branch_name(made.change_id),
            base=made.base,
            candidate=made.candidate,
            reproducer=None,
            page=made.page,
            page_path=page_path(made.change_id),
            message=f"Change nothing: {says}",
            when=now,
        )
        self._commits[made.change_id] = put.commit
        self._note(made.change_id, "patches/reproducer", NOTHING)
        proof = Proof(reports=(report_of(made),), best=made.candidate)
        report = self._note(made.change_id, "validation/report", proof)
        self._note(made.change_id, "rollout/proposal", proposal_of(made, put, report))
        for event, role in TO_PROPOSED:
            self._move(made.change_id, event, role, frozenset(Fact))
        return made.change_id

    def approve(self, change_id: str) -> None:
        """Sign with the demonstration's key, by the command, and carry the signature out."""
        if fault := self._theatre.approve(change_id):
            raise SelfdriveError(fault)
        waiting = self._decisions.waiting()
        decision = next(one for one in waiting if one.change_id == change_id)
        desk = Desk(self._ledger, self._evidence, self._repository(), self._settings)
        Approvals(desk).examine(decision, datetime.now(UTC))
        self._changes.move(
            change_id,
            Event.APPROVE,
            by=Authority(
                who=decision.actor, role=Actor.HUMAN, run_id=BENCH, signature=decision.signature
            ),
            now=datetime.now(UTC),
            facts={Fact.SIGNATURE_VERIFIED, Fact.REASON_GIVEN},
            body=dict(told_by(decision)),
            decision_id=decision.decision_id,
        )

    def close(self, change_id: str) -> None:
        """End a promoted change, so that its issue may have another; no outcome is weighed."""
        self._move(change_id, Event.SOAKED, Actor.ANALYST, frozenset({Fact.OUTCOME_RECORDED}))

    def change(self, change_id: str) -> Change:
        """Return a change as it stands."""
        change = self._changes.get(change_id)
        assert change is not None
        return change

    def commit(self, change_id: str) -> str:
        """Return a change's commit."""
        return self._commits[change_id]

    def taken(self) -> frozenset[str]:
        """Return the issues that have a change under way."""
        return frozenset(one.issue_id for one in self._changes.all(active=True))

    def why_back(self, change_id: str) -> str:
        """Return the event that led a change back."""
        rows = self._ledger.entries(change_id)
        kinds = (row.entry.kind for row in rows if row.entry.body.get("to") == BACK)
        return next(kinds, "").removeprefix("change.")

    def _repository(self) -> GitRepository:
        return GitRepository(self._theatre.repo)

    def _note(self, change_id: str, asset: str, record: Any) -> str:
        """Keep a record and tell the ledger of it, as a run does."""
        sha256 = self._evidence.put(record)
        body = {"asset": asset, "sha256": sha256, "inputs": []}
        now = datetime.now(UTC)
        self._ledger.append(
            Entry(at=now, actor=BENCH, kind=MADE, change_id=change_id, body=body, run_id=BENCH)
        )
        return sha256

    def _move(self, change_id: str, event: Event, role: Actor, facts: frozenset[Fact]) -> None:
        now = datetime.now(UTC)
        self._changes.move(change_id, event, by=acting(role), now=now, facts=facts)


def acting(role: Actor) -> Authority:
    """Return the bench, which acts in place of a run of the loop."""
    return Authority(who=BENCH, role=role, run_id=BENCH)


def drawn(issue_id: str, says: str, repository: GitRepository, base: str) -> NoOp:
    """Return a no-op on top of a commit: a line more in a file that nothing reads."""
    old = reader(repository, base)(UNREAD)
    candidate = Candidate(
        id="cnd_0",
        generator=BENCH,
        family="nothing",
        path=UNREAD,
        line=1,
        function="",
        patch=render_diff(UNREAD, old, f"{old}\nTried once more: {says}.\n"),
        claim=Claim.REPAIR,
        invented="",
    )
    page = f"# A change that changes nothing\n\n{says}; {MADE_UP}.\n"
    return NoOp(short_id("chg", issue_id, base, says), issue_id, base, candidate, page)


def report_of(made: NoOp) -> Report:
    """Return a report that lets a no-op pass and says that it is made up."""
    return Report(
        candidate_id=made.candidate.id,
        claim=made.candidate.claim,
        verdict=Verdict.CERTIFIED,
        reason=MADE_UP,
        checks=(),
        base_revision=made.base,
        patch_sha256=made.patch_sha256,
        reproducer_sha256=digest(NOTHING.reproducer),
        sandbox_level="full",
        seed=0,
        seconds=0.0,
    )


def proposal_of(made: NoOp, put: Proposed, report: str) -> Proposal:
    """Return what was put before people; `report` is the digest of what was said of it."""
    return Proposal(
        change_id=made.change_id,
        issue_id=made.issue_id,
        base_revision=made.base,
        branch=branch_name(made.change_id),
        commit=put.commit,
        pushed_to=put.pushed_to,
        title="Change nothing",
        claim=made.candidate.claim,
        verdict=Verdict.CERTIFIED,
        reason=MADE_UP,
        invented="",
        patch=made.candidate.patch,
        patch_sha256=made.patch_sha256,
        reproducer_path=None,
        reproducer_sha256=None,
        report_sha256=report,
        page=made.page,
        page_path=page_path(made.change_id),
        page_sha256=digest(made.page.encode()),
        seconds=0.0,
    )
