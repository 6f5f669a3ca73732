"""`selfdrive approve` and `selfdrive advance`: a person's signature over what they were shown.

The diff and the checks come first, the key last. The decision is noted here and carried out by
the loop, which verifies it anew. A diff may hold strangers' words: all is cleaned.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.loop_home import Wanted, loop_is_running, opened, require_home
from selfdrive_dagster.cli.render import AsJson, clean, emit, flat, words
from selfdrive_dagster.config import load, open_home
from selfdrive_dagster.errors import MissingTool, Refused
from selfdrive_dagster.model import Claim

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from selfdrive_dagster.adapters.approving import Desk, Facts, Signer
    from selfdrive_dagster.adapters.decisions import Decision, Decisions
    from selfdrive_dagster.adapters.story import Story

MARKS = {True: ("passed ", "green"), False: ("failed ", "bold red"), None: ("unknown", "yellow")}
STYLES = (("+++", "bold"), ("---", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))

Reason = Annotated[str, typer.Option("--reason", help="What convinced you; it is signed.")]
Key = Annotated[
    Path | None,
    typer.Option("--key", help="An SSH key; else git's user.signingkey, ~/.ssh, your agent."),
]
Principal = Annotated[
    str, typer.Option("--as", help="Sign as this name of the allowed signers; else the key's.")
]
Product = Annotated[Path, typer.Option("--repo", help="The product's repository.")]


def approve(
    change: Wanted,
    reason: Reason,
    invented: Annotated[
        str, typer.Option("--invented", help="What a mitigation makes up, in the report's words.")
    ] = "",
    key: Key = None,
    principal: Principal = "",
    repo: Product = Path(),
    as_json: AsJson = False,
) -> None:
    """Sign a change: over its patch, base, tree, report and policy, for seven days."""
    from selfdrive_dagster.adapters.approving import approve as sign_for

    with at_desk(change, repo) as desk:
        require_waiting(desk.story, "approve")
        if not as_json:
            show_before(Console(), desk.facts)
        decision = noted(desk.story, "approve") or sign_for(
            desk.facts,
            desk.desk,
            decisions_of(desk.engine),
            signer_of(desk, key, principal),
            reason=reason,
            typed=invented or asked(desk.facts, as_json=as_json),
            now=datetime.now(UTC),
        )
    tell(decision, as_json=as_json)


def advance(
    change: Wanted,
    reason: Reason,
    key: Key = None,
    principal: Principal = "",
    repo: Product = Path(),
    as_json: AsJson = False,
) -> None:
    """Sign a step to the next stage on weak evidence, out of a hold; it holds for a day."""
    from selfdrive_dagster.adapters.approving import advance as sign_for

    with at_desk(change, repo) as desk:
        require_waiting(desk.story, "advance_on_weak_evidence")
        decision = noted(desk.story, "advance_on_weak_evidence") or sign_for(
            desk.facts,
            desk.desk,
            decisions_of(desk.engine),
            signer_of(desk, key, principal),
            stage=desk.story.change.stage,
            reason=reason,
            now=datetime.now(UTC),
        )
    tell(decision, as_json=as_json)


class AtDesk(NamedTuple):
    """A change before whoever signs: its story, what there is to sign, and a folder for keys."""

    story: "Story"
    engine: "Engine"
    desk: "Desk"
    facts: "Facts"
    repo: Path
    folder: Path


@contextmanager
def at_desk(wanted: str, repo: Path) -> "Iterator[AtDesk]":
    """Open the loop's database and the product, and gather what there is to sign."""
    from selfdrive_dagster.adapters.approving import facts_of

    require_home(wanted)
    with opened() as (teller, engine), tempfile.TemporaryDirectory() as folder:
        story, desk = teller.find(wanted), desk_at(repo, engine)
        facts = facts_of(story.change.change_id, desk)
        yield AtDesk(story, engine, desk, facts, repo.resolve(), Path(folder))


def desk_at(repo: Path, engine: "Engine") -> "Desk":
    """Return where the facts of this home and product are read. Raises MissingTool without git."""
    from selfdrive_dagster.adapters.approving import Desk
    from selfdrive_dagster.adapters.evidence import Evidence
    from selfdrive_dagster.adapters.git import GitRepository
    from selfdrive_dagster.adapters.ledger import Ledger

    place = repo.resolve()
    repository = GitRepository.find(place) if place.is_dir() else None
    if repository is None:
        raise MissingTool(
            f"{repo} is no git repository of the product.",
            remedy="call it in the product's folder, or name that with --repo",
        )
    evidence = Evidence(open_home(os.environ))
    return Desk(Ledger(engine), evidence, repository, load(place))


def decisions_of(engine: "Engine") -> "Decisions":
    """Return where decisions are noted."""
    from selfdrive_dagster.adapters.decisions import Decisions

    return Decisions(engine)


def require_waiting(story: "Story", verdict: str) -> None:
    """Refuse a change that does not wait for this signature."""
    from selfdrive_dagster.adapters.outside import SIGNED

    change = story.change
    if change.state is not SIGNED[verdict]:
        raise Refused(
            f"{change.change_id} is {words(change.state.value)}: it does not wait for this.",
            remedy=f"selfdrive show {change.change_id}",
        )


def noted(story: "Story", verdict: str) -> "Decision | None":
    """Return the signature that waits already."""
    return next((one for one in story.waiting if one.verdict == verdict), None)


def signer_of(desk: AtDesk, key: Path | None, principal: str) -> "Signer":
    """Return the key that signs: the named one, else the first of the user's that may."""
    from selfdrive_dagster.adapters.approving import choose_signer, own_keys
    from selfdrive_dagster.adapters.approving.keys import named_key

    keys = [named_key(key)] if key else own_keys(os.environ, desk.repo, desk.folder)
    return choose_signer(keys, desk.facts.signers, principal)


def asked(facts: "Facts", *, as_json: bool) -> str:
    """Ask a person at a terminal to type what a mitigation invents; "" where nobody can."""
    if facts.report.claim is Claim.REPAIR or as_json or not sys.stdin.isatty():
        return ""
    told = f"This is a mitigation. Type what it makes up:\n  {flat(facts.candidate.invented)}\n"
    return str(typer.prompt(told, prompt_suffix="> "))


def show_before(console: Console, facts: "Facts") -> None:
    """Draw what is about to be signed: the diff, the checks, the digests."""
    for row in clean(facts.diff).splitlines():
        style = next((style for start, style in STYLES if row.startswith(start)), "")
        console.print(Text(row, style=style), soft_wrap=True)
    report = facts.report
    console.print(Text(f"\n{report.verdict.value} {report.claim.value}: {flat(report.reason)}"))
    for check in report.checks:
        console.print(Text.assemble("  ", MARKS[check.passed], f"  {flat(check.name)}: ",
                                    flat(check.says)), soft_wrap=True)  # fmt: skip
    if facts.candidate.author:
        console.print(
            Text(f"Handed in, its author: {flat(facts.candidate.author)}", style="yellow")
        )
    if facts.report.claim is not Claim.REPAIR:
        console.print(Text(f"It makes up: {flat(facts.candidate.invented)}", style="yellow"))
    binding = facts.binding
    console.print(
        Text(f"patch {binding.patch[:16]} on {binding.base[:12]}, tree {binding.tree[:12]}, "
             f"report {binding.report[:16]}, policy {binding.policy[:16]}", style="dim"),
        soft_wrap=True,
    )  # fmt: skip


def tell(decision: "Decision", *, as_json: bool) -> None:
    """Say what was signed, by which key, and who carries it out."""
    told = {"decision": decision, "loop_is_running": loop_is_running()}
    emit(told, lambda console: draw(console, decision), as_json=as_json)


def draw(console: Console, decision: "Decision") -> None:
    """Draw a signed decision."""
    from selfdrive_dagster.rollout.custody import Custody

    digests = decision.digests
    console.print(
        Text(f"Signed: {flat(decision.actor)} decides {words(decision.verdict)} for "
             f"{decision.change_id}: {flat(decision.reason)}"),
        Text(f"key {flat(digests.get('fingerprint', ''))}, statement "
             f"{flat(digests.get('statement', ''))}"),
        sep="\n",
        soft_wrap=True,
    )  # fmt: skip
    custody = Custody(digests["custody"])
    style = "dim" if custody.proves_person else "yellow"
    console.print(Text(f"Of that key, {custody.says}; that is signed too.", style=style),
                  soft_wrap=True)  # fmt: skip
    if loop_is_running():
        console.print("The loop verifies it and carries it out within a minute.")
    else:
        console.print("No loop runs on this home: it waits until the next `selfdrive up`.")
