"""Draw a repair for people: what happened, how it was reproduced, the patch and its proof."""

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.render import clean
from selfdrive_dagster.model import Candidate, Diagnosis, Report, Reproduction, Verdict
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.validation.repair import Repair

FRAMES = 6
INPUTS = 10
STYLES = {
    Verdict.CERTIFIED: "bold green",
    Verdict.CONTAINED: "bold yellow",
    Verdict.UNCERTIFIED: "bold red",
    Verdict.INCONCLUSIVE: "bold magenta",
}
MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "magenta")}


def show(found: Repair, console: Console) -> None:
    """Draw the whole repair."""
    show_diagnosis(found.diagnosis, console)
    show_reproduction(found.reproduction, console)
    show_search(found.search, console)
    show_proof(found, console)


def show_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    """Draw where and why."""
    heading("Diagnosis", console)
    say(diagnosis.sentence, console)
    for frame in diagnosis.frames[:FRAMES]:
        moved = "  (the line has moved)" if frame.drifted else ""
        say(f"  {frame.path}:{frame.line} in {frame.function}{moved}", console)
    if diagnosis.suspect is not None:
        commit = diagnosis.suspect.commit
        say(f"Suspect commit {commit.sha[:10]} ({commit.author}, {commit.when[:10]}): "
            f"{commit.summary}", console)  # fmt: skip
        say(f"  because {diagnosis.suspect.reason}", console)
    for seen in diagnosis.inputs[:INPUTS]:
        value = seen.expression if seen.expression is not None else f"unknown: {seen.unknown}"
        say(f"  {seen.function}({seen.name}) = {value}", console)
    for note in diagnosis.notes:
        say(f"  Note: {note}", console)


def show_reproduction(reproduction: Reproduction, console: Console) -> None:
    """Draw the reproducer, or why there is none."""
    heading("Reproducer", console)
    for attempt in reproduction.attempts:
        say(f"  {attempt.way.value} of {attempt.target}: {attempt.outcome}", console)
    made = reproduction.reproducer
    if made is None:
        say("No reproducer, so no patch can be proven.", console)
        return
    say(f"{made.way.value}: {', '.join(made.node_ids)}", console)
    if made.source is not None:
        console.print(Syntax(clean(made.source), "python", theme="ansi_dark"))


def show_search(search: Search, console: Console) -> None:
    """Draw what was tried."""
    heading("Search", console)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(search.outcomes.items()))
    candidates = f"{search.tried} candidate{'s' * (search.tried != 1)}"
    say(f"{candidates} in {search.seconds:.1f} s ({counts or 'none'}); "
        f"stopped because {search.stopped}", console)  # fmt: skip


def show_proof(found: Repair, console: Console) -> None:
    """Draw the judged candidates and the best patch."""
    heading("Proof", console)
    if not found.reports:
        say("Nothing to prove.", console)
    by_id = {c.id: c for c in found.search.plausible}
    for report in found.reports:
        show_report(report, by_id[report.candidate_id], console)
    heading("Result", console)
    if found.best is None:
        say("No patch held. The diagnosis above is what is known.", console)
        return
    best = found.best
    verdict = found.verdict
    line = Text(verdict.value.upper(), style=STYLES[verdict]) if verdict else Text()
    claim = f" {best.claim.value}" + (f": {clean(best.invented)}" if best.invented else "")
    console.print(line + Text(claim), soft_wrap=True)
    for support in best.supports:
        say(f"  supported by {support.kind} at {support.where}: {support.says}", console)
    console.print(Syntax(clean(best.patch), "diff", theme="ansi_dark"))
    say(f"{found.seconds:.1f} s in all.", console)


def show_report(report: Report, candidate: Candidate, console: Console) -> None:
    """Draw one candidate's verdict and checks."""
    head = Text(f"#{candidate.rank} {report.verdict.value}", style=STYLES[report.verdict])
    console.print(head + Text(f" {candidate.family}, claims {report.claim.value}"), soft_wrap=True)
    table = Table.grid(padding=(0, 1))
    for check in report.checks:
        mark, style = MARKS[check.passed]
        table.add_row("  ", Text(mark, style=style), check.name, escape(clean(check.says)))
    console.print(table)


def heading(title: str, console: Console) -> None:
    """Print a chapter's title."""
    console.print(Text(f"\n{title}", style="bold"))


def say(sentence: str, console: Console) -> None:
    """Print one line that may hold strangers' text."""
    console.print(Text(clean(sentence)), soft_wrap=True)
