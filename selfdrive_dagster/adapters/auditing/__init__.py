"""The audit's eyes: a change's case from ledger and evidence, and whether all records agree.

Ledger, evidence, Dagster's event log, git, the tables beside the ledger, signatures and the files
of a rollout tell of the same things; `disagreements` names each place where one of them knows what
another does not. Nothing is written.
"""

from collections.abc import Iterator

from sqlalchemy import Engine

from selfdrive_dagster.adapters.auditing.agreeing import made, of_dagster, of_evidence, of_git
from selfdrive_dagster.adapters.auditing.cases import KINDS, case_of
from selfdrive_dagster.adapters.auditing.files import of_journal, of_windows
from selfdrive_dagster.adapters.auditing.signed import of_closings, of_signatures
from selfdrive_dagster.adapters.auditing.tables import of_tables
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.audit import Case, Head, verify


def disagreements(
    case: Case,
    engine: Engine,
    evidence: Evidence,
    repository: GitRepository | None,
    anchor: Head | None = None,
) -> Iterator[str]:
    """Yield what the records do not tell alike about a change.

    `anchor` is a head of the ledger that was noted elsewhere: only against one are rows seen that
    were cut off at the end.
    """
    ledger = Ledger(engine).entries()
    if (fault := verify(ledger, anchor)) is not None:
        yield f"the ledger: {fault.says}"
    known = {made(row) for row in ledger if row.entry.kind == MADE}
    yield from of_evidence(case, known, evidence)
    yield from of_windows(case, evidence.home)
    yield from of_journal(case, evidence.home)
    yield from of_tables(case, engine)
    yield from of_dagster(case, engine)
    if repository is None:
        yield (
            "git: no repository of the product was given, so neither its branch nor a signature "
            "was compared"
        )
        return
    yield from of_git(case, repository)
    yield from of_signatures(case, evidence, repository)
    yield from of_closings(ledger, evidence, repository)


__all__ = ["KINDS", "case_of", "disagreements"]
