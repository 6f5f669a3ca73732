"""`selfdrive amend`: a person's own patch in the place of the proposed one, to be proven anew.

It is signed by its author, who cannot approve it then. The loop judges it by the same gate, and
the change is proposed again with what held.
"""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.approve import Key, Principal, Product, desk_at
from selfdrive_dagster.cli.loop_home import Wanted, loop_is_running, opened, require_home
from selfdrive_dagster.cli.render import AsJson, emit, flat, words
from selfdrive_dagster.errors import BadInput, Refused

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.decisions import Decision
    from selfdrive_dagster.adapters.story import Story

MOST_BYTES = 200_000
"""A longer file is no patch that a person would read."""


def amend(
    change: Wanted,
    patch: Annotated[
        Path, typer.Option("--patch", help="A unified diff against the change's base.")
    ],
    reason: Annotated[
        str, typer.Option("--reason", help="What the proposed patch got wrong; it is signed.")
    ],
    key: Key = None,
    principal: Principal = "",
    repo: Product = Path(),
    as_json: AsJson = False,
) -> None:
    """Put your own patch in the place of the proposed one; somebody else approves it then."""
    from selfdrive_dagster.adapters.approving import allowed_signers_at, choose_signer, own_keys
    from selfdrive_dagster.adapters.approving.amending import AMEND
    from selfdrive_dagster.adapters.approving.amending import amend as sign_for
    from selfdrive_dagster.adapters.approving.keys import named_key
    from selfdrive_dagster.adapters.decisions import Decisions

    require_home(change)
    text = text_of(patch)
    with opened() as (teller, engine), tempfile.TemporaryDirectory() as folder:
        story, desk = teller.find(change), desk_at(repo, engine)
        require_editable(story, AMEND)
        desk.repository.refresh()
        signers = allowed_signers_at(desk.repository, story.change.base_revision)
        own = own_keys(os.environ, repo.resolve(), Path(folder))
        decision = sign_for(
            story.change,
            desk,
            Decisions(engine),
            choose_signer([named_key(key)] if key else own, signers, principal),
            patch=text,
            replaces=story.proposal.commit if story.proposal else "",
            reason=reason,
            now=datetime.now(UTC),
        )
    told = {"decision": decision, "loop_is_running": loop_is_running()}
    emit(told, lambda console: draw(console, decision), as_json=as_json)


def text_of(patch: Path) -> str:
    """Read a patch. Raises BadInput for what is none."""
    try:
        if patch.stat().st_size > MOST_BYTES:
            raise BadInput(f"{patch} is longer than {MOST_BYTES} bytes.")
        return patch.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise BadInput(
            f"{patch} cannot be read: {fault}.", remedy="git diff > edited.patch"
        ) from None


def require_editable(story: "Story", verdict: str) -> None:
    """Refuse a change that is not waiting for people, or is amended already."""
    from selfdrive_dagster.rollout.lifecycle import RULES, Event

    change = story.change
    if not any(r.state is change.state and r.event is Event.PATCH_EDITED for r in RULES):
        raise Refused(
            f"{change.change_id} is {words(change.state.value)}: its patch is fixed there.",
            remedy=f"selfdrive show {change.change_id}",
        )
    if any(one.verdict == verdict for one in story.waiting):
        raise Refused(
            f"An amendment of {change.change_id} waits already.", remedy="selfdrive changes"
        )


def draw(console: Console, decision: "Decision") -> None:
    """Say what was noted, and what follows."""
    told = f"Signed: {flat(decision.actor)} amends {decision.change_id}: {flat(decision.reason)}"
    console.print(Text(told), soft_wrap=True)
    if loop_is_running():
        console.print("The loop takes it up within a minute, and proves it by the same gate.")
    else:
        console.print("No loop runs on this home: it waits until the next `selfdrive up`.")
    console.print("You are its author now, so somebody else approves it.")
