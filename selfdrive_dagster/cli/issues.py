"""`selfdrive issues` and `selfdrive issue ID`: what hurts, in order, and why.

Both read the warehouse of the running loop, or a telemetry file alone: then nothing is stored
and no database is needed. Titles, places and names come from telemetry: they are cleaned.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.costs import costed, spent_on_issues
from selfdrive_dagster.cli.render import AsJson, clean, emit
from selfdrive_dagster.config import FILE_NAME, Settings, home_path, load
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import (
    Decision,
    Grouping,
    RankedIssue,
    TriageSettings,
    gather,
    named_event,
    rank,
)
from selfdrive_dagster.issues.business import business_of
from selfdrive_dagster.issues.members import placed
from selfdrive_dagster.issues.skips import standing
from selfdrive_dagster.patches.asking.money import dollars
from selfdrive_dagster.telemetry import Arrival, Redactor, read_records

WIDTH = 200
"""Characters of a stranger's text that a line shows."""

NOTHING = (
    "No issue is known here: nothing that hurts arrived yet. Run `selfdrive up` and point the "
    "product at it, or name a telemetry file."
)

COLOURS = {Decision.AUTOFIX: "green", Decision.ROOT_CAUSE_ONLY: "yellow", Decision.SKIP: "dim"}

File = Annotated[
    Path | None,
    typer.Argument(help="A telemetry file: Sentry event or envelope, OTLP JSON lines, a log."),
]
Repo = Annotated[
    Path | None,
    typer.Option("--repo", help="The product; else the working folder with a selfdrive.toml."),
]


def issues(
    file: File = None,
    why: Annotated[
        str, typer.Option("--why", metavar="ID", help="Show how the score of one issue is made.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many to show.")] = 20,
    repo: Repo = None,
    as_json: AsJson = False,
) -> None:
    """Rank issues by how much they hurt, and say what may be tried."""
    ranked = find(file, repo)
    if file is None and not ranked and not why:
        emit((), lambda console: console.print(Text(NOTHING), soft_wrap=True), as_json=as_json)
        return
    if why:
        explain(pick(ranked, why), file, as_json)
        return
    spent = {} if file else spent_on_issues()
    emit(
        costed(ranked[:limit], spent),
        lambda console: draw_all(console, ranked, limit, spent),
        as_json=as_json,
    )


def issue(
    issue_id: Annotated[str, typer.Argument(metavar="ID", help="iss_… or the start of one.")],
    file: File = None,
    repo: Repo = None,
    as_json: AsJson = False,
) -> None:
    """Show one issue: where it happens, whom it hurts, and how its score is made."""
    explain(pick(find(file, repo), issue_id), file, as_json)


def explain(chosen: RankedIssue, file: Path | None, as_json: bool) -> None:
    """Show one issue whole, with what models took where the loop's book can be read."""
    spent = {} if file else spent_on_issues()
    (one,) = costed((chosen,), spent)
    emit(one, lambda console: draw_one(console, chosen, spent), as_json=as_json)


def find(file: Path | None, repo: Path | None) -> tuple[RankedIssue, ...]:
    """Return the ranking of a file, or that of the loop's warehouse."""
    settings = settings_of(repo)
    return from_file(file, settings) if file else from_home(settings)


def from_file(file: Path, settings: Settings) -> tuple[RankedIssue, ...]:
    """Return the ranking of one file at the time of its newest event."""
    from selfdrive_dagster.adapters.warehouse.pointers import read_verdicts

    try:
        data = file.read_bytes()
    except OSError as fault:
        raise BadInput(
            f"{file} cannot be read: {fault.strerror}.", remedy="name a file with telemetry"
        ) from fault
    # A key of this moment keeps users apart and tells nobody who they are.
    captures = settings.telemetry.capture_arguments
    arrival = Arrival.now(Redactor(key=os.urandom(32), keeps_variables=captures))
    records = read_records(data, str(file), arrival)
    grouping = Grouping(source=settings.service.source)
    named = [named_event(row, grouping) for row in records.exceptions]
    verdicts = read_verdicts(home_path(os.environ) / "warehouse")
    events = placed(named, verdicts, merges=settings.issues.merge == "auto")
    now = max((event.timestamp for event in events), default=arrival.received_at)
    protected = settings.autonomy.protected
    return rank(gather(events, now), settings=TriageSettings(min_events=1, protected=protected))


def from_home(settings: Settings) -> tuple[RankedIssue, ...]:
    """Return the ranking as the loop last refreshed it, () where no loop made one yet."""
    from selfdrive_dagster.adapters.canary import on_trial
    from selfdrive_dagster.adapters.warehouse import Warehouse
    from selfdrive_dagster.adapters.warehouse.pointers import read_skips
    from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
    from selfdrive_dagster.adapters.warehouse.resolved import read_resolved

    home = home_path(os.environ)
    warehouse = Warehouse(home)
    if "issue_stats" not in warehouse.tables():
        return ()
    now = datetime.now(UTC)
    triage = TriageSettings(
        protected=settings.autonomy.protected,
        on_trial=on_trial(home),
        skips=standing(read_skips(warehouse.root), now),
    )
    business = business_of(settings)
    return rank_issues(
        warehouse,
        now,
        settings=triage,
        business=business,
        resolved=read_resolved(warehouse.root),
    )


def settings_of(repo: Path | None) -> Settings:
    """Return the product's settings. A working folder that is no product says nothing."""
    if repo is None and not Path(FILE_NAME).is_file():
        return Settings()
    return load(repo or Path())


def pick(ranked: tuple[RankedIssue, ...], wanted: str) -> RankedIssue:
    """Return the one issue whose id starts so."""
    found = [each for each in ranked if each.issue_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    what = "no issue" if not found else f"{len(found)} issues"
    ids = ", ".join(each.issue_id for each in (found or ranked)[:10])
    raise BadInput(f"There is {what} {wanted!r}.", remedy=f"choose one of: {ids or 'none yet'}")


def draw_all(
    console: Console, ranked: tuple[RankedIssue, ...], limit: int, spent: dict[str, int]
) -> None:
    """Draw the ranking as a table; `spent` are micro-dollars by issue."""
    if not ranked:
        console.print("Nothing that hurts was reported: nothing to rank.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("#", "score", "events", "users"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("issue", no_wrap=True)
    table.add_column("what and where", overflow="fold")
    table.add_column("triage")
    for each in ranked[:limit]:
        table.add_row(
            str(each.rank),
            f"{each.score.total:.1f}",
            str(each.events_24h),
            known(each.users),
            each.issue_id,
            Text.assemble(line(each.title), "\n", (where(each) + paid(each, spent), "dim")),
            Text(reason(each), style=COLOURS[each.triage.decision]),
        )
    console.print(table)
    console.print(
        f"{len(ranked)} issue{'s' * (len(ranked) != 1)}; events and users of 24 h. "
        "`selfdrive issue ID` tells why.",
        style="dim",
    )


def where(each: RankedIssue) -> str:
    """Return where an issue is raised."""
    return line(each.culprit) or "no frames"


def paid(each: RankedIssue, spent: dict[str, int]) -> str:
    """Return what models were paid for an issue, "" where none was asked."""
    return f"; models took {dollars(spent[each.issue_id])}" if each.issue_id in spent else ""


def reason(each: RankedIssue) -> str:
    """Return the deciding reason of triage; of a skip also its end."""
    skip = each.triage.skip
    end = f" until {skip.until:%Y-%m-%d}" if skip and skip.until else ""
    return each.triage.reasons[0] + end


def draw_one(console: Console, each: RankedIssue, spent: dict[str, int]) -> None:
    """Draw one issue with the parts of its score."""
    console.print(Text(f"{each.issue_id}  {line(each.title)}", style="bold"))
    facts = (
        ("what", line(each.says)),
        ("in", line(each.culprit) or "no frames were reported"),
        ("events", f"{each.events_24h} in 24 h, {each.events_total} in all"),
        ("users", f"{known(each.users)} in 24 h; sessions {known(each.sessions)}"),
        ("seen", f"{each.first_seen:%Y-%m-%d %H:%M} to {each.last_seen:%Y-%m-%d %H:%M} UTC"),
        ("service", line(", ".join(each.services + each.versions))),
        ("came", line(each.introduced) or "nobody knows with which version"),
        ("rank", f"{each.rank}{f'; {each.otherwise}' if each.otherwise else ''}"),
        ("trend", TRENDS[each.is_escalating]),
        ("triage", f"{each.triage.decision.value}: {', '.join(each.triage.reasons)}"),
        ("", line(each.triage.says)),
        ("example", line(each.sample_event_id)),
        ("spent", dollars(spent[each.issue_id]) if each.issue_id in spent else ""),
    )
    for name, value in facts:
        if value or name != "spent":
            console.print(Text(f"  {name:<8}", style="dim") + Text(value))
    draw_score(console, each)


def draw_score(console: Console, each: RankedIssue) -> None:
    """Draw how the score is made: part times weight, and what each was read from."""
    table = Table(box=None, pad_edge=False, title_justify="left")
    for name in ("part", "value", "× weight", "= points"):
        table.add_column(name, justify="left" if name == "part" else "right")
    table.add_column("because")
    for part in each.score.parts:
        value = "unknown" if part.value is None else f"{part.value:.2f}"
        points = f"{part.points:.1f}"
        table.add_row(part.name, value, f"{part.weight:.2f}", points, Text(line(part.says)))
    total = f"{each.score.total:.1f}"
    because = (
        f"of 100 × criticality {each.score.criticality:.2f} ({each.score.criticality_says}), "
        f"formula {each.score.formula_version}"
    )
    table.add_row("score", "", "", total, because, style="bold")
    console.print(table)
    console.print(Text(f"  paging  {PAGING[each.is_paging]}", style="dim"))


TRENDS = {
    True: "escalating: more in the last hour than its own week lets expect",
    False: "within what its own history lets expect",
    None: "no history of full hours to compare with",
}

PAGING = {
    True: "yes: it burns the error budget of its service too fast",
    False: "no",
    None: "unknown: nobody told burn rates; that needs [issues] slo and reported requests",
}


def line(text: str) -> str:
    """Return a stranger's text as one clean line of bounded length."""
    flat = clean(text).replace("\n", " ")
    return flat if len(flat) <= WIDTH else flat[: WIDTH - 1] + "…"


def known(count: int | None) -> str:
    """Return a count, or a mark for one that nobody told."""
    return "?" if count is None else str(count)
