"""`selfdrive doctor`: for each need fine, missing or degraded, with the command that mends it.

It looks and tells; it never changes the system.
"""

import os
from pathlib import Path

from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.doctor import loop, machine, product
from selfdrive_dagster.cli.doctor.findings import Check, Finding, Patient, State, examine
from selfdrive_dagster.cli.render import AsJson, Repo, clean, emit, progress

SOMETHING_MISSING = 3

CHECKS: tuple[Check, ...] = (*machine.CHECKS, *product.CHECKS, *loop.CHECKS)

STYLES = {State.FINE: "green", State.DEGRADED: "yellow", State.MISSING: "bold red"}


def doctor(repo: Repo = Path(), as_json: AsJson = False) -> int:
    """Tell what this machine and this product have, lack, and what mends it."""
    patient = Patient.of(repo, os.environ)
    with progress("Looking around; the sandbox is tried out once per boot"):
        findings = [examine(check, patient) for check in CHECKS]
    emit(findings, lambda console: show(findings, console), as_json=as_json)
    return SOMETHING_MISSING if any(f.state is State.MISSING for f in findings) else 0


def show(findings: list[Finding], console: Console) -> None:
    """Draw the findings for people: a line each, and below it what mends it."""
    for finding in findings:
        mark = Text(f"{finding.state.value:<9}", style=STYLES[finding.state])
        console.print(mark, Text(f"{finding.need:<17} {clean(finding.says)}"), soft_wrap=True)
        if finding.mend:
            console.print(Text(f"{'':>10}{'':<17} → {clean(finding.mend)}"), soft_wrap=True)
