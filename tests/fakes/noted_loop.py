"""A loop that only notes: it does to a database and a home what the loop's runs do to them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fakes import made_findings as found
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Authority, Changes
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.rollout import Destination, Findings, draw_proposal, write_page
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


class NotedLoop:
    """Does to a database and a home what the loop's runs do."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.changes = Changes(engine)
        self.evidence = Evidence(home)

    def opens(self, change_id: str, issue_id: str) -> None:
        self.opens_only(change_id, issue_id)
        for event, role in (
            (Event.START, Actor.LOOP),
            (Event.PROVEN, Actor.VALIDATOR),
            (Event.PROPOSE, Actor.LOOP),
        ):
            facts = frozenset(Fact)
            self.changes.move(change_id, event, by=self.role(role), now=NOW, facts=facts)

    def opens_only(self, change_id: str, issue_id: str) -> None:
        """Open a change and do no more."""
        by = self.role(Actor.LOOP)
        self.changes.open(
            change_id, issue_id, service="shop", base_revision=found.BASE, by=by, now=NOW
        )

    def makes(self, change_id: str, asset: str, record: Any, *read: str) -> str:
        """Keep a record and note it; `read` are the digests of boards it was made from."""
        sha256 = self.evidence.put(record)
        board = {"asset": "issues/ranking", "run_id": "run of issues/ranking"}
        Ledger(self.engine).append(
            Entry(
                at=NOW,
                actor="selfdrive",
                kind="evidence.made",
                change_id=change_id,
                body={
                    "asset": asset,
                    "sha256": sha256,
                    "inputs": [{**board, "sha256": one} for one in read],
                },
                run_id=f"run of {asset}",
            )
        )
        return sha256

    def role(self, role: Actor) -> Authority:
        return Authority(who="selfdrive", role=role, run_id="run-1")

    def proposes(self, findings: Findings) -> dict[str, str]:
        destination = Destination(branch=f"loop/{findings.change_id}", into="main", remote="origin")
        page = write_page(findings, destination)
        proposal = draw_proposal(findings, destination, commit="c" * 40, page=page)
        self.opens(findings.change_id, findings.issue.issue_id)
        board = self.makes("", "issues/ranking", Board(issues=(findings.issue,), crashes={}))
        records = {
            "patches/reproducer": findings.reproduction,
            "patches/candidates": findings.search,
            "validation/report": findings.proof,
            "rollout/proposal": proposal,
        }
        first = self.makes(findings.change_id, "patches/diagnosis", findings.diagnosis, board)
        made = {a: self.makes(findings.change_id, a, r) for a, r in records.items()}
        return {"patches/diagnosis": first, **made}
