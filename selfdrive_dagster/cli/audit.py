"""`selfdrive audit`: what an auditor asks of a change, answered from the record alone.

Without a change it walks all of them. What should be recorded and is not, or is told in two ways,
is a gap; any gap ends the command with exit code 3. Nothing is written.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.loop_home import opened, require_home
from selfdrive_dagster.cli.render import ABSENT, AsJson, emit, flat, words
from selfdrive_dagster.config import open_home
from selfdrive_dagster.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from selfdrive_dagster.adapters.changes import Change
    from selfdrive_dagster.adapters.git import GitRepository
    from selfdrive_dagster.audit import Answer, Head

GAPS, SEAL = 3, 64


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """One change as the record tells it. `verified` says whether all sources were compared.

    `head` is the ledger's newest row and its seal: keep it elsewhere, and compare with it later.
    """

    change_id: str
    issue_id: str
    state: str
    answers: "tuple[Answer, ...]"
    gaps: tuple[str, ...]
    verified: bool
    head: str


def audit(
    change: Annotated[
        str, typer.Argument(metavar="[CHANGE]", help="chg_… or the start of one; else all.")
    ] = "",
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare ledger, evidence, Dagster and git as well."),
    ] = False,
    repo: Annotated[
        Path, typer.Option("--repo", help="The product's repository, for --verify.")
    ] = Path(),
    head: Annotated[
        str, typer.Option("--head", help="SEQ:SEAL, as an earlier audit told it, for --verify.")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Answer an auditor's questions about a change, each with the digests behind it."""
    require_home(change or "to audit")
    anchor = head_in(head) if head else None
    verify = verify or bool(head)
    with opened() as (teller, engine):
        chosen = [teller.find(change).change] if change else known(engine)
        repository = repository_at(repo) if verify else None
        found = tuple(audited(one, engine, repository, anchor, verify=verify) for one in chosen)
    emit(found, lambda console: draw(console, found, whole=bool(change)), as_json=as_json)
    return GAPS if any(one.gaps for one in found) else 0


def known(engine: "Engine") -> "tuple[Change, ...]":
    """Return every change, the ended ones too."""
    from selfdrive_dagster.adapters.changes import Changes

    return Changes(engine).all()


def repository_at(folder: Path) -> "GitRepository | None":
    """Return the product's repository, None when the folder is in none."""
    from selfdrive_dagster.adapters.git import GitRepository

    return GitRepository.find(folder.resolve())


def head_in(text: str) -> "Head":
    """Read a head of the ledger. Raises BadInput for what is none."""
    from selfdrive_dagster.audit import Head

    seq, _, seal = text.partition(":")
    if not (seq.isdecimal() and len(seal) == SEAL):
        raise BadInput(
            f"{text!r} is no head of a ledger.",
            remedy="give SEQ:SEAL, as an earlier `selfdrive audit` told it",
        )
    return Head(int(seq), seal)


def audited(
    change: "Change",
    engine: "Engine",
    repository: "GitRepository | None",
    anchor: "Head | None",
    *,
    verify: bool,
) -> Audited:
    """Gather one change's answers and gaps."""
    from selfdrive_dagster.adapters.auditing import case_of, disagreements
    from selfdrive_dagster.adapters.evidence import Evidence
    from selfdrive_dagster.adapters.ledger import Ledger
    from selfdrive_dagster.audit import answers, gaps

    evidence = Evidence(open_home(os.environ))
    ledger = Ledger(engine)
    head, case = ledger.head(), case_of(change, ledger, evidence)
    more = disagreements(case, engine, evidence, repository, anchor) if verify else iter(())
    return Audited(
        change_id=change.change_id,
        issue_id=change.issue_id,
        state=change.state.value,
        answers=answers(case),
        gaps=tuple(dict.fromkeys((*gaps(case), *more))),
        verified=verify,
        head=f"{head.seq}:{head.hash}" if head else "",
    )


def draw(console: Console, found: tuple[Audited, ...], *, whole: bool) -> None:
    """Draw one change with all its answers, or a line for each."""
    if not found:
        console.print("There is no change yet. `selfdrive issues` shows what hurts.")
    for one in found:
        for line in lines_of(one) if whole else [line_of(one)]:
            console.print(line, soft_wrap=True)
    if found:
        told = f"The ledger's head is {found[-1].head}; kept elsewhere, it is for --head later."
        console.print(Text(told, style="dim"), soft_wrap=True)


def line_of(one: Audited) -> Text:
    """Return a change's line: complete, or its first gap."""
    told = f"{len(one.gaps)} gaps: {flat(one.gaps[0])}" if one.gaps else "complete"
    style = "red" if one.gaps else "green"
    return Text.assemble(f"{one.change_id}  {words(one.state):<18} ", (told, style))


def lines_of(one: Audited) -> Iterator[Text]:
    """Yield a change's dossier, a paragraph for each question."""
    yield Text(f"{one.change_id} of {one.issue_id} is {words(one.state)}.", style="bold")
    for answer in one.answers:
        yield Text(f"\n{answer.question}", style="bold")
        if answer.says is None:
            yield Text(f"  {ABSENT}", style="red")
        else:
            yield Text(f"  {flat(answer.says)}", style="dim" if answer.is_ahead else "")
        for sha256 in answer.digests:
            yield Text(f"  sha256 {sha256}", style="dim")
    yield Text("\nIs the record complete and unaltered?", style="bold")
    if not one.gaps:
        compared = "ledger, evidence, Dagster and git agree" if one.verified else "no gap"
        yield Text(f"  yes: {compared}", style="green")
    for gap in one.gaps:
        yield Text(f"  {flat(gap)}", style="red")
    if not one.verified:
        yield Text("  --verify compares ledger, evidence, Dagster and git too.", style="dim")
