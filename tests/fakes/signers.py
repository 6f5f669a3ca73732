"""People with SSH keys of their own, and a product whose base revision says who may approve."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fakes import made_findings as found
from fakes.made_repository import MadeRepository
from msgspec.structs import replace
from sqlalchemy import Engine

from selfdrive_dagster.adapters.approving import (
    Approvals,
    Desk,
    approve,
    choose_signer,
    facts_of,
)
from selfdrive_dagster.adapters.changes import Authority, Changes
from selfdrive_dagster.adapters.decisions import Decision, Decisions
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.adapters.outside import told_by
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.orchestration.proposing import put_forward
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout import Findings, Proposal
from selfdrive_dagster.rollout.approval import Statement, draw_statement
from selfdrive_dagster.rollout.custody import Custody
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact

ADA, EVE = "ada@example.com", "eve@example.com"
SETTINGS = '[service]\nname = "shop"\nbranch = "main"\n'
NOTED = {
    "patches/diagnosis": "diagnosis",
    "patches/reproducer": "reproduction",
    "patches/candidates": "search",
    "validation/report": "proof",
}
TO_PROPOSED = (
    (Event.START, Actor.LOOP),
    (Event.PROVEN, Actor.VALIDATOR),
    (Event.PROPOSE, Actor.LOOP),
)


def key_of(folder: Path, name: str) -> Path:
    """Make a key without a passphrase."""
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def lock(key: Path) -> None:
    """Put a passphrase before a key."""
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", str(key)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


@contextmanager
def agent_of(folder: Path, key: Path) -> Iterator[str]:
    """Run an agent that holds a key, and give its socket."""
    socket = folder / "agent"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL
    ) as agent:
        try:
            while not socket.exists():
                time.sleep(0.01)
            environ = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
            subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environ)
            yield str(socket)
        finally:
            agent.terminate()


def line(who: str, key: Path, options: str = "") -> str:
    """Return a key's line of allowed signers."""
    kind, blob, *_ = key.with_suffix(".pub").read_text().split()
    return f"{who} {options + ' ' if options else ''}{kind} {blob}\n"


class SignedProduct:
    """A product in git with allowed signers, a home, a database, and Ada's key; Eve has none."""

    def __init__(self, folder: Path, url: str, engine: Engine, settings: str = SETTINGS) -> None:
        self.folder, self.engine = folder, engine
        self.ada, self.eve = key_of(folder, "ada"), key_of(folder, "eve")
        self.product = MadeRepository(folder / "product")
        self.product.write("shop/shipping.py", found.SOURCE)
        self.product.write("selfdrive.toml", settings)
        self.product.write(".selfdrive/allowed_signers", line(ADA, self.ada))
        self.base = self.product.commit("Begin")
        self.home = folder / "home"
        (self.home / "dagster").mkdir(parents=True, mode=0o700)
        self.home.chmod(0o700)
        self.workshop = Workshop(self.home, folder / "product", url, folder)
        self.changes, self.decisions = Changes(engine), Decisions(engine)
        self.ledger, self.evidence = Ledger(engine), self.workshop.evidence

    @property
    def desk(self) -> Desk:
        """Ledger, evidence, git and settings, read anew."""
        fresh = Workshop(self.home, self.product.path, "", self.folder)
        return Desk(self.ledger, self.evidence, fresh.repository(), fresh.settings)

    @property
    def approvals(self) -> Approvals:
        return Approvals(self.desk)

    def findings(self, made: Findings, change_id: str = found.CHANGE) -> Findings:
        """What was found, as if it was found on today's base."""
        reports = tuple(replace(report, base_revision=self.base) for report in made.proof.reports)
        return replace(
            made,
            change_id=change_id,
            diagnosis=replace(made.diagnosis, revision=self.base),
            proof=replace(made.proof, reports=reports),
        )

    def propose(self, made: Findings | None = None, change_id: str = found.CHANGE) -> Proposal:
        """Put a change forward as the loop does, and note its records."""
        findings = self.findings(made or found.certified(), change_id)
        then = datetime.now(UTC) - timedelta(hours=1)
        issue = findings.issue.issue_id if change_id == found.CHANGE else f"iss_{change_id[4:]}"
        opener = self.by(Actor.LOOP)
        self.changes.open(
            change_id, issue, service="shop", base_revision=self.base, by=opener, now=then
        )
        for asset, field in NOTED.items():
            self.note(asset, getattr(findings, field), change_id)
        for event, role in TO_PROPOSED:
            self.move(event, role, change_id, now=then)
        put = put_forward(self.workshop, findings)
        self.note("rollout/proposal", put, change_id)
        return put

    def note(self, asset: str, record: Any, change_id: str = found.CHANGE) -> str:
        """Store a record and tell the ledger of it."""
        sha256 = self.evidence.put(record)
        body = {"asset": asset, "sha256": sha256, "inputs": []}
        entry = Entry(at=datetime.now(UTC), actor="selfdrive", kind=MADE, change_id=change_id,
                      body=body, run_id=f"run of {asset}")  # fmt: skip
        self.ledger.append(entry)
        return sha256

    def ledger_digest(self, asset: str, change_id: str = found.CHANGE) -> str:
        """Return the digest of a record as the ledger names it."""
        [row] = self.ledger.find(MADE, change_id, {"asset": asset})
        return str(row.entry.body["sha256"])

    def sign(self, key: Path | None = None, typed: str = "", **other: Any) -> Decision:
        """Sign a change as Ada would, and note the decision."""
        now = other.pop("now", datetime.now(UTC))
        desk = self.desk
        facts = facts_of(other.pop("change_id", found.CHANGE), desk)
        signer = choose_signer([key or self.ada], facts.signers, other.pop("wanted", ""))
        reason = other.pop("reason", "I read the diff and ran it")
        return approve(facts, desk, self.decisions, signer, reason=reason, typed=typed, now=now)

    def statement(self) -> Statement:
        """What Ada would sign, unsigned."""
        facts = facts_of(found.CHANGE, self.desk)
        return draw_statement(
            facts.binding,
            approver=ADA,
            reason="nobody signed this",
            typed="",
            claim=facts.report.claim,
            invented="",
            author="",
            custody=Custody.HARDWARE,
            now=datetime.now(UTC),
        )

    def carry_out(self, decision: Decision, change_id: str = found.CHANGE) -> None:
        """Write the row of an approval as the loop's run does."""
        by = Authority(who=decision.actor, role=Actor.HUMAN, run_id="run-7",
                       signature=decision.signature)  # fmt: skip
        self.changes.move(
            change_id,
            Event.APPROVE,
            by=by,
            now=datetime.now(UTC),
            facts={Fact.SIGNATURE_VERIFIED, Fact.REASON_GIVEN},
            body=dict(told_by(decision)),
            decision_id=decision.decision_id if decision.change_id == change_id else None,
        )

    def move(
        self, event: Event, role: Actor, change_id: str = found.CHANGE, now: datetime | None = None
    ) -> None:
        """Move a change with every fact known."""
        when = now or datetime.now(UTC)
        self.changes.move(change_id, event, by=self.by(role), now=when, facts=frozenset(Fact))

    def by(self, role: Actor) -> Authority:
        return Authority(who="selfdrive", role=role, run_id="run-1")
