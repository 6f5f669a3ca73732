"""Draw an improvement for people: what is slow, where the time goes, the patch and its proof."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

from selfdrive_dagster.cli.render import clean
from selfdrive_dagster.cli.repair.show import asked
from selfdrive_dagster.model import Candidate

if TYPE_CHECKING:
    from selfdrive_dagster.validation.improve import AskedImprovement, Improvement

MARKS = {True: "✓", False: "✗", None: "?"}
HOT = 5


def show(found: "Improvement", console: Console) -> None:
    """Draw the whole of it."""
    slow = found.slow
    p95 = "" if slow.p95_ms is None else f", p95 {slow.p95_ms:,.0f} ms over {slow.seen} requests"
    _say(console, f"{slow.route} at {slow.service_name}{p95}. {slow.says}")
    if found.handler is not None:
        at = found.handler
        _say(console, f"Answered by {at.function} ({at.path}:{at.line}).")
    if found.workload is not None:
        _say(console, f"Workload: {found.workload.says}.")
    for note in found.notes:
        _say(console, f"  Tried in vain: {note}")
    for one in found.profile.hot[:HOT] if found.profile else ():
        lines = sorted(one.lines.items(), key=lambda pair: -pair[1])[:1]
        where = "".join(f", {share:.0%} at line {line}" for line, share in lines)
        _say(console, f"  {one.own:>4.0%} of the time in {one.function} ({one.path}){where}")
    for tried in found.tried:
        _say(console, f"\n{tried.idea.says}: {tried.report.verdict.value}")
        for check in tried.report.checks:
            _say(console, f"  {MARKS[check.passed]} {check.name}: {check.says}")
    if found.best is None:
        _say(console, f"\nAbstained: {found.abstained}.")
        return
    console.print(Syntax(clean(found.best.patch), "diff", theme="ansi_dark"))
    _say(console, "It rests on:")
    for sentence in found.tried[0].idea.assumes:
        _say(console, f"  - {sentence}")
    if found.effect is not None:
        _say(console, f"Expected: {found.effect.says}.")
    _say(console, "A person decides on it: an improvement is never merged by itself.")


def message_of(found: "Improvement", best: Candidate) -> str:
    """Return the commit's message: a subject of names alone, then what was measured."""
    from selfdrive_dagster.rollout.markdown import wrapped

    tried = found.tried[0]
    parts = [f"{tried.idea.says[0].upper()}{tried.idea.says[1:]}."]
    if tried.gain is not None:
        parts.append(f"The replayed requests took {tried.gain.says}.")
    if found.effect is not None:
        parts.append(f"Expected: {found.effect.says}.")
    body = "\n\n".join(wrapped(part) for part in parts)
    return f"Make {best.function} faster\n\n{body}"


def _say(console: Console, sentence: str) -> None:
    console.print(escape(clean(sentence)), soft_wrap=True, highlight=False)


def show_asked(found: "AskedImprovement", console: Console) -> None:
    """Draw what came of asking a model."""
    _say(console, f"{found.hurt.kind.replace('_', ' ')}: {found.hurt.subject}. {found.hurt.says}")
    for ask in found.asks:
        _say(console, f"  {asked(ask)}")
    for tried in found.tried:
        _say(console, f"\n{tried.asked.draft.path}: {tried.report.verdict.value}")
        for check in tried.report.checks:
            _say(console, f"  {MARKS[check.passed]} {check.name}: {check.says}")
    if found.best is None:
        _say(console, f"\nAbstained: {found.abstained}.")
        return
    console.print(Syntax(clean(found.best.draft.patch), "diff", theme="ansi_dark"))
    console.print(Syntax(clean(found.best.test), "python", theme="ansi_dark"))
    _say(console, f"Expected: {found.best.effect.says}.")
    _say(console, "A person decides on it: an improvement is never merged by itself.")
