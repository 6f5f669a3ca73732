"""Whether the files of a rollout say what the ledger's evidence says: its windows, its journal."""

from collections.abc import Iterator
from pathlib import Path

from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.adapters.controller.journal import RETURNED, name_of
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.audit import Case
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.rollout.observed import judged_again


def of_windows(case: Case, home: Path) -> Iterator[str]:
    """Yield looks at evidence that the file of windows, only ever longer, never began with."""
    store = WindowStore(home, case.change_id)
    begun = store.beginnings() if case.observed else frozenset()
    for sha256, found in case.observed.items():
        if found is None:
            continue  # told as a gap of the record
        if found.windows_sha256 not in begun:
            yield f"windows.jsonl does not begin with the windows that {sha256[:16]} was drawn from"
        again = judged_again(found)
        if again.verdict is not found.judgement.verdict:
            told = found.judgement.verdict.value
            yield f"{sha256[:16]} says {told}; judged again it is {again.verdict.value}"
    named = {str(row.entry.body.get("thresholds", "")) for row in case.rows} - {""}
    if named and (case.thresholds is None or case.thresholds.sha256 not in named):
        yield "thresholds.json is not what the ledger names"


def of_journal(case: Case, home: Path) -> Iterator[str]:
    """Yield returns to stable that the front noted and the ledger does not know."""
    told = [row.entry.body for row in case.of_kind(RETURNED)]
    try:
        entries = FrontFiles(home).journal()
    except SelfdriveError as fault:
        yield f"the front's journal: {fault.message}"
        return
    for entry in entries:
        known = any(name_of(entry).items() <= body.items() for body in told)
        if entry.change_id == case.change_id and not known:
            yield (
                f"the front's journal tells of a return to stable at {entry.at:%H:%M:%S} UTC "
                "that the ledger does not know"
            )
