"""Draw a backtest for people: the issues by time, and one sentence at the end."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.backtest.proposing import Ended
from selfdrive_dagster.cli.backtest.record import Backtest
from selfdrive_dagster.cli.backtest.trying import Outcome, Try
from selfdrive_dagster.cli.issues import line
from selfdrive_dagster.issues.replay import ReplayedIssue
from selfdrive_dagster.patches.asking.money import dollars

MARKS = {
    Outcome.REPRODUCED: ("reproduced", "green"),
    Outcome.NOT_REPRODUCED: ("not reproduced", "yellow"),
    Outcome.SKIPPED: ("skipped", "dim"),
}
ENDINGS = {
    Ended.REPAIR: ("repair", "green"),
    Ended.CONTAINMENT: ("containment", "yellow"),
    Ended.ABSTAINED: ("abstained", "dim"),
}
TIME = "%Y-%m-%d %H:%M:%S"


def show(made: Backtest, console: Console) -> None:
    """Draw everything, the closing sentence last."""
    if made.issues:
        console.print(table_of(made))
    for each in made.unread:
        if each.is_named:
            console.print(Text(f"Not read: {line(each.why)}", style="red"), soft_wrap=True)
    for sentence in notes(made):
        console.print(Text(sentence, style="dim"), soft_wrap=True)
    console.print(Text(closing(made), style="bold"), soft_wrap=True)


def table_of(made: Backtest) -> Table:
    """Return the issues in the order in which they would have been known."""
    table = Table(box=None, pad_edge=False)
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("what and where", overflow="fold")
    table.add_column("what then", overflow="fold")
    tries = {each.issue_id: each for each in made.tries or ()}
    for each in made.issues:
        table.add_row(*row_of(each, tries.get(each.issue.issue_id)))
    return table


def row_of(each: ReplayedIssue, tried: Try | None) -> tuple[Text, ...]:
    """Return one issue's row: when, what and what would have come of it."""
    issue = each.issue
    when = f"known {each.known_at:{TIME}}"
    if each.tried:
        when += f"\ntried {each.tried.at:{TIME}}"
    place = f"{issue.issue_id} in {line(issue.culprit) or 'no frames'}"
    what = Text.assemble(line(issue.title), "\n", (place, "dim"))
    return Text(when), what, what_then(each, tried)


def what_then(each: ReplayedIssue, tried: Try | None) -> Text:
    """Return what would have come of an issue, with its numbers of that moment."""
    if each.tried is None:
        events = each.issue.events_total
        return Text(f"{counted(events, 'event')}: {line(each.why_not)}", style="dim")
    then = each.tried
    told = Text(f"rank {then.rank}, score {then.score:.1f}, {counted(then.events, 'event')}")
    if tried is None:
        return told
    word, style = MARKS[tried.outcome]
    told += Text.assemble("\n", (word, style), f": {line(tried.says)}")
    if tried.proposed is not None:
        word, style = ENDINGS[tried.proposed.ended]
        told += Text.assemble("\n", (word, style), f": {line(tried.proposed.says)}")
    return told


def counted(count: int, what: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def notes(made: Backtest) -> list[str]:
    """Return what a reader must know of the answer."""
    told = []
    others = sum(not each.is_named for each in made.unread)
    if others:
        told.append(f"In the folders: {counted(others, 'file')} without telemetry that we know.")
    if made.undated:
        told.append(f"Left out, as no time is told: {counted(made.undated, 'exception')}.")
    tried = sum(each.tried is not None for each in made.issues)
    if tried > made.most_open:
        told.append(
            f"At most {made.most_open} changes are open at once ([autonomy] max_open_changes): "
            "some would have waited for a place."
        )
    return told


def closing(made: Backtest) -> str:
    """Return the backtest in a sentence."""
    if made.begin is None or made.end is None:
        return "No exception with a time was found: nothing to go through."
    issues, tried = len(made.issues), sum(each.tried is not None for each in made.issues)
    told = (
        f"{counted(made.events, 'event')} from {made.begin:%Y-%m-%d} to {made.end:%Y-%m-%d}: "
        f"{counted(issues, 'issue')}, {tried} would have been tried"
    )
    if made.tries is None:
        return f"{told}; --repo says which of them can be reproduced."
    count = {one: sum(each.outcome is one for each in made.tries) for one in Outcome}
    skipped = f", {count[Outcome.SKIPPED]} skipped" if count[Outcome.SKIPPED] else ""
    ended = endings(made.tries)
    return f"{told}, {count[Outcome.REPRODUCED]} reproducible{skipped}{ended}{asking(made.tries)}."


def endings(tries: tuple[Try, ...]) -> str:
    """Say how the built-in engine's work ended, "" where nothing was reproduced."""
    found = [each.proposed.ended for each in tries if each.proposed]
    if not found:
        return ""
    repairs, containments, abstained = (found.count(one) for one in Ended)
    return (
        f", {counted(repairs, 'repair')}, {counted(containments, 'containment')}, "
        f"{abstained} abstained"
    )


def asking(tries: tuple[Try, ...]) -> str:
    """Say what a model would have cost where it would have been asked, "" where nowhere."""
    known = [each.asking for each in tries if each.asking]
    if not known:
        return ""
    likely = dollars(sum(one.likely_micros for one in known))
    most = dollars(sum(one.most_micros for one in known))
    return (
        f", would have cost about {likely} and at most {most} to ask Claude about "
        f"{len(known)} of them (nothing was sent)"
    )
