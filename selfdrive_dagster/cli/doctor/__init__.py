"""`selfdrive doctor`: for each need fine, missing or degraded, with the command that mends it.

It looks and tells; it never changes the system.
"""

import os
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.doctor import loop, machine, product
from selfdrive_dagster.cli.doctor.findings import Check, Finding, Patient, State, examine
from selfdrive_dagster.cli.render import AsJson, Repo, clean, emit, progress

SOMETHING_MISSING = 3

CHECKS: tuple[Check, ...] = (*machine.CHECKS, *product.CHECKS, *loop.CHECKS)

NEEDS = {
    "repair": frozenset(check.need for check in (*machine.CHECKS, *product.CHECKS))
    - {"remote", "approvals"},
    "up": frozenset(check.need for check in CHECKS),
}
"""What each command cannot do without, should it be missing."""

ALL_OR_NOTHING = ("ports", "code")
"""Needs that are merely degraded for doctor, as another folder or moment may mend them."""

INDENT = 28

STYLES = {State.FINE: "green", State.DEGRADED: "yellow", State.MISSING: "bold red"}


def doctor(repo: Repo = Path(), as_json: AsJson = False) -> int:
    """Tell what this machine and this product have, lack, and what mends it."""
    patient = Patient.of(repo, os.environ)
    with progress("Looking around; the sandbox is tried out once per boot"):
        findings = [examine(check, patient) for check in CHECKS]
    emit(findings, lambda console: show(findings, console), as_json=as_json)
    return SOMETHING_MISSING if any(f.state is State.MISSING for f in findings) else 0


def show(findings: list[Finding], console: Console) -> None:
    """Draw the findings for people, each with what mends it, and what they come to.

    What is said is wrapped between words; what mends it is left whole, for it is copied.
    """
    for finding in findings:
        mark = Text(f"{finding.state.value:<9}", style=STYLES[finding.state])
        room = max(console.width - INDENT, 40)
        said = wrap(clean(finding.says), room, break_long_words=False, break_on_hyphens=False)
        told = ("\n" + " " * INDENT).join(said)
        console.print(mark, Text(f"{finding.need:<17} {told}"), soft_wrap=True)
        if finding.mend:
            console.print(Text(f"{'':>10}→ {clean(finding.mend)}"), soft_wrap=True)
    console.print(Text(comes_to(findings), style="bold"), soft_wrap=True)


def comes_to(findings: list[Finding]) -> str:
    """Return the verdict: which commands can run, and what the others wait for."""
    lacks = {
        command: [f.need for f in findings if f.need in needs and stops(f)]
        for command, needs in NEEDS.items()
    }
    told = [f"mend {', '.join(lack)} for {name}" for name, lack in lacks.items() if lack]
    ready = " and ".join(name for name, lack in lacks.items() if not lack)
    return "; ".join([f"Ready for {ready}" if ready else "Not ready", *told]) + "."


def stops(finding: Finding) -> bool:
    """Say whether a command that needs this cannot run."""
    return finding.state is State.MISSING or (
        finding.state is State.DEGRADED and finding.need in ALL_OR_NOTHING
    )
