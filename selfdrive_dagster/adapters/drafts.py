"""Patches that others hand in: files of a folder of the home, read anew for each change."""

from pathlib import Path

from selfdrive_dagster.patches.proposers import HandedIn, Patch

FOLDER = "drafts"
MOST_BYTES = 200_000
"""A longer file is no patch that a person would read."""


def handed_in(home: Path) -> HandedIn:
    """Return the proposer of what lies in `<home>/drafts/*.patch`, by name; none is no fault."""
    found = sorted((home / FOLDER).glob("*.patch"))
    return HandedIn(
        Patch(name=path.stem, text=path.read_text(encoding="utf-8", errors="replace"))
        for path in found
        if path.is_file() and path.stat().st_size <= MOST_BYTES
    )
