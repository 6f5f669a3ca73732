"""`selfdrive changes`, `show` and `reject`: the board, one change with its evidence, a refusal.

They read the database of the loop that runs, or start it for the moment. A refusal is noted
here and carried out by the loop. Titles and reasons may hold strangers' words: all is cleaned.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.render import AsJson, clean, emit, progress
from selfdrive_dagster.config import home_path, open_home
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.patches.asking.money import MICROS, dollars

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from selfdrive_dagster.adapters.changes import Change
    from selfdrive_dagster.adapters.decisions import Decision
    from selfdrive_dagster.adapters.story import Approved, Piece, Step, Story, Storyteller
    from selfdrive_dagster.rollout import Proposal

URL = "SELFDRIVE_DATABASE_URL"
ABSENT = "NOT RECORDED"
NARROW = 110
"""Below so many columns the board is drawn in blocks: a table would fold titles to shreds."""

NEEDS_A_HUMAN = "diagnosis only, needs a human"
STYLES = {"certified": "green", "contained": "yellow", "uncertified": "red"}
Wanted = Annotated[str, typer.Argument(metavar="CHANGE", help="chg_… or the start of one.")]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the board. What nobody recorded is None; `decision` is one that waits.

    `diagnosis_only`: what is proposed holds no patch, so that nothing invented is on its branch.
    `breaker`: why no change of this service may meet users, "" while they may. `waits`: what an
    approved change may wait for at the front. `cost_usd`: what models took, None for none asked.
    """

    change_id: str
    issue_id: str
    title: str | None
    state: str
    claim: str | None
    verdict: str | None
    invented: str
    since: datetime
    deadline: datetime | None
    branch: str | None
    pushed_to: str
    decision: str | None
    way: str | None = None
    tried: int | None = None
    seconds: float | None = None
    diagnosis_only: bool = False
    approved_by: str | None = None
    approved_at: datetime | None = None
    approved_until: datetime | None = None
    outcome: str | None = None
    breaker: str = ""
    waits: str = ""
    cost_usd: float | None = None


def changes(
    every: Annotated[bool, typer.Option("--all", help="Show those that have ended too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show where each change stands: what it mends, what was proven, where its branch is."""
    if not is_there():
        emit((), lambda console: draw_board(console, (), every, {}), as_json=as_json)
        return
    with opened() as (teller, engine):
        barred = open_breakers(engine)
        stories = teller.all(active=None if every else True)
        serves = served_now()
        costs = costs_of(engine)
        lines = tuple(
            msgspec.structs.replace(
                line_of(story, barred, serves), cost_usd=in_dollars(costs, story)
            )
            for story in stories
        )
    emit(lines, lambda console: draw_board(console, lines, every, barred), as_json=as_json)


def in_dollars(costs: dict[str, int], story: "Story") -> float | None:
    """Return what models took for a change, None where none was asked."""
    micros = costs.get(story.change.change_id)
    return None if micros is None else micros / MICROS


def costs_of(engine: "Engine") -> dict[str, int]:
    """Return the micro-dollars that models took for each change."""
    from selfdrive_dagster.adapters.spending import Spending

    return {name: one.micros for name, one in Spending(engine).by_change().items()}


def open_breakers(engine: "Engine") -> dict[str, str]:
    """Return the services whose breaker is open, each with the reason."""
    from selfdrive_dagster.adapters.standing import standings

    found = standings(engine, datetime.now(UTC), rests=False)
    return {name: "; ".join(one.reasons) for name, one in found.items() if one.tripped_at}


def show(change: Wanted, as_json: AsJson = False) -> None:
    """Show a change's page and its chain of evidence, each record with run and digest."""
    require_home(change)
    with opened() as (teller, engine):
        story = teller.find(change)
        cost = costs_of(engine).get(story.change.change_id)
    emit(story, lambda console: draw_story(console, story, cost), as_json=as_json)


def reject(
    change: Wanted,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the decision.")],
    as_json: AsJson = False,
) -> None:
    """Refuse a change: noted now, carried out by the loop."""
    if not reason.strip():
        raise BadInput("A refusal needs a reason.", remedy='--reason "what is wrong with it"')
    require_home(change)
    with opened() as (teller, engine):
        story = teller.find(change)
        decision = refuse(story, engine, reason)
    told = {"decision": decision, "loop_is_running": loop_is_running()}
    emit(told, lambda console: draw_refusal(console, story, decision), as_json=as_json)


def refuse(story: "Story", engine: "Engine", reason: str) -> "Decision":
    """Note a refusal once. Raises Refused when the change is beyond it."""
    from selfdrive_dagster.adapters.decisions import Decisions
    from selfdrive_dagster.rollout.lifecycle import RULES, Event

    state, change_id = story.change.state, story.change.change_id
    if not any(rule.state is state and rule.event is Event.REJECT for rule in RULES):
        raise Refused(
            f"{change_id} is {words(state.value)}: it can no longer be rejected.",
            remedy="if it was merged, revert it in git: `selfdrive show` tells how",
        )
    return noted(story) or Decisions(engine).record(
        change_id,
        "reject",
        actor=who_am_i(),
        reason=reason,
        now=datetime.now(UTC),
        digests=digests_of(story),
    )


def noted(story: "Story") -> "Decision | None":
    """Return the refusal that waits already."""
    return next((one for one in story.waiting if one.verdict == "reject"), None)


def digests_of(story: "Story") -> dict[str, str]:
    """Return the digests of what stood before whoever decides."""
    proposal = story.proposal
    if proposal is None:
        return {"base": story.change.base_revision}
    told = {
        "base": proposal.base_revision,
        "commit": proposal.commit,
        "page": proposal.page_sha256,
        "patch": proposal.patch_sha256,
    }
    return {name: value for name, value in told.items() if value}


def who_am_i() -> str:
    """Return the user of this system and what git calls them, if it calls them anything."""
    import getpass

    from selfdrive_dagster.adapters.git import GitFailed
    from selfdrive_dagster.adapters.git.command import network_environment, run_git

    def ask(key: str) -> str:
        try:
            told = run_git(["config", "--get", key], cwd=Path.cwd(), environ=network_environment())
        except GitFailed:
            return ""
        return clean(told.decode(errors="replace").strip())

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id that has no name
        user = f"uid {os.getuid()}"
    name, email = ask("user.name"), ask("user.email")
    known = " ".join(part for part in (name, f"<{email}>" if email else "") if part)
    return f"{user} ({known})" if known else user


def is_there() -> bool:
    """Say whether there is a database to look into; nothing is made to find out."""
    return bool(os.environ.get(URL)) or (home_path(os.environ) / "postgres").is_dir()


def require_home(wanted: str) -> None:
    """Refuse a change's name where no loop ever ran."""
    if not is_there():
        raise BadInput(
            f"There is no change {wanted!r}: no loop has run on {home_path(os.environ)}.",
            remedy="run `selfdrive up`, or set SELFDRIVE_HOME to the loop's home",
        )


@contextmanager
def opened() -> "Iterator[tuple[Storyteller, Engine]]":
    """Open the loop's database, joining the running one."""
    from selfdrive_dagster.adapters.evidence import Evidence
    from selfdrive_dagster.adapters.postgres import connect, open_database
    from selfdrive_dagster.adapters.story import Storyteller

    home = open_home(os.environ)
    with (
        progress("Opening the database") as say,
        open_database(home, os.environ.get(URL), progress=say) as url,
    ):
        engine = connect(url)
        try:
            yield Storyteller(engine, Evidence(home)), engine
        finally:
            engine.dispose()


def loop_is_running() -> bool:
    """Say whether a `selfdrive up` holds this home."""
    from selfdrive_dagster.adapters.processes.holding import LOCK

    try:
        descriptor = os.open(home_path(os.environ) / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def served_now() -> str:
    """Return the commit that this home's front serves as stable, "" where none runs."""
    from selfdrive_dagster.adapters.front_files import FrontFiles
    from selfdrive_dagster.rollout.traffic import FRESH_SECONDS, Seen

    files = FrontFiles(home_path(os.environ))
    try:
        seen = files.read(files.seen_file, Seen)
    except BadInput:
        return ""
    old = seen is None or (datetime.now(UTC) - seen.at).total_seconds() > FRESH_SECONDS
    return "" if old or seen is None else seen.stable


def waits_for(change: "Change", serves: str) -> str:
    """Say what an approved change waits for where the front serves something else than its base."""
    from selfdrive_dagster.rollout.lifecycle import State

    base = change.base_revision
    if change.state is not State.APPROVED or not serves or serves == base:
        return ""
    return (
        f"it stands on {base[:12]}, the front serves {serves[:12]}: if others changed files "
        f"between the two, it waits for selfdrive serve --revision {base[:12]}"
    )


def line_of(story: "Story", barred: dict[str, str], serves: str = "") -> Line:
    """Return a change's line of the board; `barred` are services whose breaker is open."""
    change, proposal = story.change, story.proposal
    return Line(
        change_id=change.change_id,
        issue_id=change.issue_id,
        title=story.title,
        state=change.state.value,
        claim=proposal.claim.value if proposal and proposal.claim else None,
        verdict=proposal.verdict.value if proposal and proposal.verdict else None,
        invented=proposal.invented if proposal and proposal.patch else "",
        since=change.since,
        deadline=change.deadline,
        branch=proposal.branch if proposal else None,
        pushed_to=proposal.pushed_to if proposal else "",
        decision=story.waiting[0].verdict if story.waiting else None,
        way=proposal.way.value if proposal and proposal.way else None,
        tried=proposal.tried if proposal else None,
        seconds=proposal.seconds if proposal else None,
        diagnosis_only=bool(proposal and not proposal.patch),
        approved_by=story.approval.approver if story.approval else None,
        approved_at=story.approval.at if story.approval else None,
        approved_until=story.approval.expires if story.approval else None,
        outcome=story.outcome,
        breaker=barred.get(change.service, ""),
        waits=waits_for(change, serves),
    )


def draw_board(
    console: Console, lines: tuple[Line, ...], every: bool, barred: dict[str, str]
) -> None:
    """Draw the board, and above it what stops it."""
    for service, why in barred.items():
        told = f"The breaker of {flat(service)} is open, nothing is rolled out: {flat(why)}."
        console.print(Text(f"{told} See `selfdrive breaker`.", style="bold red"), soft_wrap=True)
    if not lines:
        left = "" if every else " `--all` shows those that have ended."
        console.print(f"No change is open.{left} `selfdrive issues` shows what hurts.")
        return
    draw = draw_blocks if console.width < NARROW else draw_table
    draw(console, lines)
    told = "Times in UTC. `selfdrive show CHANGE` tells more."
    console.print(told, style="dim")


def draw_table(console: Console, lines: tuple[Line, ...]) -> None:
    """Draw a row for each change, where there is room for columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("change", no_wrap=True)
    table.add_column("what", overflow="fold")
    for name in ("state", "verdict", "since", "branch"):
        table.add_column(name)
    for line in lines:
        table.add_row(
            Text.assemble(line.change_id, "\n", (line.issue_id, "dim")),
            what(line),
            state_of(line, "\n"),
            verdict_of(line, "\n"),
            f"{line.since:%m-%d %H:%M}",
            Text(flat(line.pushed_to or "here") if line.branch else "-"),
        )
    console.print(table)
    console.print("Branches are named loop/CHANGE.", style="dim")


def draw_blocks(console: Console, lines: tuple[Line, ...]) -> None:
    """Draw a few lines for each change, each as wide as the terminal."""
    for line in lines:
        head = (line.change_id, "  ", state_of(line, ", "), "  ", verdict_of(line, " "))
        where = f"{line.branch} at {line.pushed_to or 'here'}" if line.branch else "no branch yet"
        foot = f"{flat(where)}, of {line.issue_id}, since {line.since:%m-%d %H:%M}"
        console.print(Text.assemble(*head))
        console.print(Padding(what(line), (0, 0, 0, 2)))
        console.print(Padding(Text(foot, style="dim"), (0, 0, 1, 2)))


def what(line: Line) -> Text:
    """Return what a change mends, and below it what its reader must know of it."""
    remark = NEEDS_A_HUMAN if line.diagnosis_only else flat(line.waits or line.invented)
    return Text.assemble(flat(line.title or ABSENT), ("\n" + remark if remark else "", "yellow"))


def state_of(line: Line, gap: str) -> Text:
    """Return where a change stands, and the decision that waits."""
    waits = f"{gap}{words(flat(line.decision))} waits" if line.decision else ""
    approved = f"{gap}by {flat(line.approved_by)}" if line.approved_by else ""
    until = f" until {line.approved_until:%m-%d %H:%M}" if line.approved_until else ""
    return Text.assemble(words(line.state), (waits, "yellow"), (approved + until, "dim"))


def verdict_of(line: Line, gap: str) -> Text:
    """Return the verdict and what was claimed; without a patch nothing is."""
    verdict = (line.verdict or "-", STYLES.get(line.verdict or "", ""))
    claim = "" if line.diagnosis_only or not line.claim else gap + line.claim
    return Text.assemble(verdict, claim)


def draw_story(console: Console, story: "Story", cost: int | None = None) -> None:
    """Draw the page, then the chain of evidence, then the moves; `cost` is what models took."""
    change, proposal = story.change, story.proposal
    if proposal is None:
        console.print(Text(flat(story.title or ABSENT), style="bold"))
        console.print(f"Its page is {ABSENT}: no proposal was made yet.")
    else:
        console.print(Markdown(clean(proposal.page), hyperlinks=False))
    until = f", until {change.deadline:%Y-%m-%d %H:%M}" if change.deadline else ""
    console.print(f"\n{change.change_id} is {words(change.state.value)} since "
                  f"{change.since:%Y-%m-%d %H:%M}{until} (UTC).", style="bold")  # fmt: skip
    if story.approval:
        draw_approval(console, story.approval)
    for decision in story.waiting:
        console.print(Text(f"{decision.verdict} by {flat(decision.actor)} waits for the loop: "
                           f"{flat(decision.reason)}", style="yellow"))  # fmt: skip
    if cost is not None:
        console.print(f"Models were paid {dollars(cost)} for it; `selfdrive spend` tells more.")
    console.print(Text("\nEvidence", style="bold"))
    for piece in story.pieces:
        draw_piece(console, piece)
    console.print(Text("\nLedger", style="bold"))
    for step in story.steps:
        draw_step(console, step)


def draw_approval(console: Console, approval: "Approved") -> None:
    """Draw who approved, when, until when it holds, and what the key proves."""
    until = f"{approval.expires:%Y-%m-%d %H:%M}" if approval.expires else ABSENT
    told = f"Approved by {flat(approval.approver)} at {approval.at:%Y-%m-%d %H:%M}, until {until}"
    key = f" (UTC), with {flat(approval.fingerprint or ABSENT)}: {flat(approval.reason)}"
    console.print(Text(told + key), soft_wrap=True)
    if approval.custody:
        style = "dim" if approval.custody.proves_person else "yellow"
        console.print(Text(f"Of that key: {approval.custody.says}.", style=style))


def draw_piece(console: Console, piece: "Piece") -> None:
    """Draw one record: when, by which run, under which digest, and whether it is there."""
    if piece.at is None:
        console.print(Text.assemble(f"  {flat(piece.asset):<20} ", (ABSENT, "red")))
        return
    console.print(
        Text.assemble(
            f"  {flat(piece.asset):<20} ",
            (piece.kept, "green" if piece.kept == "sound" else "bold red"),
            f"  {piece.at:%Y-%m-%d %H:%M:%S}  row {piece.seq}",
            f"\n    run {flat(piece.run_id or ABSENT)}  sha256 {flat(piece.sha256 or ABSENT)}",
        ),
        soft_wrap=True,
    )


def draw_step(console: Console, step: "Step") -> None:
    """Draw one move, with the authority behind it."""
    authority = f"run {step.run_id}" if step.run_id else "signed"
    told = step.body.get("reason") or step.body.get("because") or step.body.get("says") or ""
    console.print(
        Text(
            f"  {step.seq:>4}  {step.at:%Y-%m-%d %H:%M:%S}  {flat(step.kind)} by "
            f"{flat(step.actor)} ({flat(authority)})" + (f": {flat(str(told))}" if told else "")
        ),
        soft_wrap=True,
    )


def draw_refusal(console: Console, story: "Story", decision: "Decision") -> None:
    """Say what was noted, who carries it out, and what stays."""
    told = f"Noted: {flat(decision.actor)} rejects {decision.change_id}: {flat(decision.reason)}"
    if noted(story):
        told = f"{decision.change_id} is rejected, already noted: {flat(decision.reason)}"
    console.print(Text(told))
    if loop_is_running():
        console.print("The loop carries it out within a minute.")
    else:
        console.print("No loop runs on this home: it waits until the next `selfdrive up`.")
    if story.proposal:
        console.print(Text(what_stays(story.proposal)), soft_wrap=True)


def what_stays(proposal: "Proposal") -> str:
    """Say that a refused branch is not deleted for anybody, and how to do it."""
    ways = [f"git branch -D {proposal.branch}"]
    if proposal.pushed_to:
        ways.append(f"git push {flat(proposal.pushed_to)} --delete {proposal.branch}")
    return f"The branch {proposal.branch} stays; to delete it: {' && '.join(ways)}"


def words(name: str) -> str:
    """Return a state's name in words."""
    return name.replace("_", " ")


def flat(text: Any) -> str:
    """Return a stranger's text as one clean line."""
    return clean(str(text)).replace("\n", " ")
