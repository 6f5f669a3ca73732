"""Who decides, and on what: both are kept with every decision.

Does not belong here: a decision (`rejecting`, `approve`, `pausing` and others).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from selfdrive_dagster.cli.render import clean

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.story import Story


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
