"""Draw a repair for people: what happened, how it was reproduced, the patch and its proof."""

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.render import clean
from selfdrive_dagster.model import (
    Ask,
    Candidate,
    Crash,
    Diagnosis,
    Report,
    Reproducer,
    Reproduction,
    Verdict,
)
from selfdrive_dagster.patches.asking.edits import FITS
from selfdrive_dagster.patches.asking.money import dollars
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.validation.repair import Repair

FRAMES = 6
INPUTS = 10
STYLES = {
    Verdict.CERTIFIED: "bold green",
    Verdict.CONTAINED: "bold yellow",
    Verdict.AMBIGUOUS: "bold magenta",
    Verdict.UNCERTIFIED: "bold red",
    Verdict.INCONCLUSIVE: "bold magenta",
}
VALUES = 5
NO_VARIABLES = (
    "a plain traceback carries no variables, so the call cannot be made again: send the Sentry "
    "event with its frames' variables, or write a failing test and use --failing-tests"
)
MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "magenta")}


def show(found: Repair, console: Console, *, verbose: bool = False) -> None:
    """Draw the whole repair."""
    show_diagnosis(found.diagnosis, console)
    show_reproduction(found.reproduction, console)
    show_search(found.search, console)
    show_proof(found, console, verbose=verbose)


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
    if warning := production_warning(made):
        say(warning, console)


def production_warning(made: Reproducer) -> str:
    """Ask whose values stand in the test, "" when none came from production."""
    values = made.production_values
    if not values:
        return ""
    named = ", ".join(values[:VALUES]) + f" and {len(values) - VALUES} more" * (
        len(values) > VALUES
    )
    return (
        f"These values came from production and stand in the test: {named}. Is any of them "
        "somebody's? Then replace it before you share the test."
    )


def lacks_variables(crash: Crash) -> bool:
    """Say whether no frame of a crash has variables, as in a plain traceback."""
    return not any(frame.variables for raised in crash.exceptions for frame in raised.frames)


def show_search(search: Search, console: Console) -> None:
    """Draw what was tried."""
    heading("Search", console)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(search.outcomes.items()))
    candidates = f"{search.tried} candidate{'s' * (search.tried != 1)}"
    say(f"{candidates} in {search.seconds:.1f} s ({counts or 'none'}); "
        f"stopped because {search.stopped}", console)  # fmt: skip

    for ask in search.asks:
        say(f"  {asked(ask)}", console)


def asked(ask: Ask) -> str:
    """Return a question to a model in a line: how it ended, and what it cost."""
    parts = [f"{ask.result.value.replace('_', ' ')}" + (f": {ask.says}" if ask.says else "")]
    if ask.drafts:
        parts.append(f"{ask.drafts.count(FITS)} of {len(ask.drafts)} drafts fit")
    if ask.usage:
        parts.append(f"{ask.usage.read_tokens} tokens in, {ask.usage.output_tokens} out")
    model = ask.returned_model or ask.model
    told = ", ".join([*parts, dollars(ask.spent_micros)])
    return f"{ask.generator} ({model}) was asked to {ask.purpose}: {told}"


def show_proof(found: Repair, console: Console, *, verbose: bool = False) -> None:
    """Draw the judged candidates and the best patch."""
    heading("Proof", console)
    if not found.reports:
        say("Nothing to prove.", console)
    by_id = {c.id: c for c in found.search.plausible}
    for report in found.reports:
        whole = verbose or (found.best is not None and found.best.id == report.candidate_id)
        show_report(report, by_id[report.candidate_id], console, whole=whole)
    heading("Result", console)
    if found.best is None:
        show_likeliest(found, console)
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


def show_likeliest(found: Repair, console: Console) -> None:
    """Draw the likeliest patch that was judged though none held, and why it is unproven."""
    reports = {report.candidate_id: report for report in found.reports}
    shown = next((c for c in found.search.plausible if c.id in reports), None)
    if shown is None:
        say("No patch held. The diagnosis above is what is known.", console)
        return
    say("No patch held. Likeliest, unproven:", console)
    console.print(Syntax(clean(shown.patch), "diff", theme="ansi_dark"))
    say(f"Why: {reports[shown.id].reason}", console)


def show_report(
    report: Report, candidate: Candidate, console: Console, *, whole: bool = True
) -> None:
    """Draw one candidate's verdict, and its checks or how many passed and which did not."""
    head = Text(f"#{candidate.rank} {report.verdict.value}", style=STYLES[report.verdict])
    about = f" {candidate.family}, claims {report.claim.value}"
    if not whole:
        about += f": {counted(report)}"
    console.print(head + Text(clean(about)), soft_wrap=True)
    if not whole:
        return
    table = Table.grid(padding=(0, 1))
    for check in report.checks:
        mark, style = MARKS[check.passed]
        table.add_row("  ", Text(mark, style=style), check.name, escape(clean(check.says)))
    console.print(table)


def counted(report: Report) -> str:
    """Return how many checks passed, and those that did not in words."""
    passed = sum(check.passed is True for check in report.checks)
    others = [f"{MARKS[c.passed][0]} {c.name}: {c.says}" for c in report.checks if not c.passed]
    return "; ".join([f"{passed} of {len(report.checks)} checks passed", *others])


def heading(title: str, console: Console) -> None:
    """Print a chapter's title."""
    console.print(Text(f"\n{title}", style="bold"))


def say(sentence: str, console: Console) -> None:
    """Print one line that may hold strangers' text."""
    console.print(Text(clean(sentence)), soft_wrap=True)
