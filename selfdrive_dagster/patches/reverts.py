"""Reverts: what the suspect commit did, taken back whole or hunk by hunk.

A fix that costs nothing to think of: where a commit brought the failure, the text before it did
not have it (SapFix tries it beside its templates, repair.md §1). A hunk is taken back only where
the lines it wrote still stand together; nothing is matched loosely. Belongs here: drafts from
history. Does not belong: who is suspected (`diagnosis.blame`).
"""

import ast
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

import msgspec

from selfdrive_dagster.model import Commit, Diagnosis, History, Product
from selfdrive_dagster.patches.drafts import BUILTIN, Draft
from selfdrive_dagster.patches.proposers import Proposer
from selfdrive_dagster.patches.syntax import Module, parse_quietly
from selfdrive_dagster.patches.templates.checker import changed_tokens, forbidden
from selfdrive_dagster.patches.templates.generate import is_editable
from selfdrive_dagster.patches.text import changed_lines, render_diff, rows

MOST_HUNKS = 12
MOST_FILES = 3
RECENT = 3
"""Newest commits of a suspected file that are asked beside the suspect one."""


class Hunk(msgspec.Struct, frozen=True):
    """Lines `start:stop` (from 0) of the text as it is, and what stood there before."""

    start: int
    stop: int
    before: tuple[str, ...]


class Reverts:
    """A proposer that knows the history: it takes commits back, the suspect one first."""

    name = "revert"

    def __init__(self, history: History) -> None:
        self._history = history

    def propose(self, diagnosis: Diagnosis, product: Product, *, limit: int) -> Iterator[Draft]:
        """Yield at most `limit` drafts, each of one file and one commit."""
        made: set[str] = set()
        for path in _files(diagnosis, product):
            for commit in self._commits(diagnosis, path):
                for draft in self._drafts(diagnosis, product, path, commit):
                    if draft.source not in made and len(made) < limit:
                        made.add(draft.source)
                        yield draft

    def _commits(self, diagnosis: Diagnosis, path: str) -> list[Commit]:
        suspect = (diagnosis.suspect.commit,) if diagnosis.suspect else ()
        recent = self._history.changes(path, RECENT)
        return list({commit.sha: commit for commit in (*suspect, *recent)}.values())

    def _drafts(
        self, diagnosis: Diagnosis, product: Product, path: str, commit: Commit
    ) -> Iterator[Draft]:
        before = self._history.show(f"{commit.sha}~1", path)
        after = self._history.show(commit.sha, path)
        if before is None or after is None:
            return  # the commit brought the file, or took it away
        now = product.read(path)
        lines = {one.line: one.score for one in diagnosis.suspicions if one.path == path}
        found = sorted(hunks(before, after, now), key=lambda one: -_suspicion(one, lines))
        whole = [tuple(found)] if len(found) > 1 else []
        for part in (*((one,) for one in found[:MOST_HUNKS]), *whole):
            if draft := _draft(product, path, now, part, commit, len(part) == len(found)):
                yield draft


def with_reverts(proposers: tuple[Proposer, ...], history: History) -> tuple[Proposer, ...]:
    """Return the proposers with reverts, where the built-in one is among them."""
    builtin = any(one.name == BUILTIN for one in proposers)
    return (Reverts(history), *proposers) if builtin else proposers


def _files(diagnosis: Diagnosis, product: Product) -> list[str]:
    """Return the editable files that are suspected, most first."""
    paths = dict.fromkeys(
        (*(one.path for one in diagnosis.suspicions), *(one.path for one in diagnosis.frames))
    )
    return [path for path in paths if is_editable(path, product) and product.has(path)][:MOST_FILES]


def hunks(before: str, after: str, now: str) -> list[Hunk]:
    """Return what a commit changed from `before` to `after`, where it stands in `now`.

    A hunk whose lines were changed since, or between whose neighbours lines came, is left out.
    """
    old, new, present = rows(before), rows(after), rows(now)
    kept = SequenceMatcher(None, new, present, autojunk=False).get_matching_blocks()
    found = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        first, last = max(j1 - 1, 0), min(j2 + 1, len(new))
        block = next((one for one in kept if one.a <= first and last <= one.a + one.size), None)
        if block is not None:
            away = block.b - block.a
            found.append(Hunk(j1 + away, j2 + away, tuple(old[i1:i2])))
    return found


def taken_back(now: str, parts: Iterable[Hunk]) -> str:
    """Return a text with hunks taken back."""
    lines = rows(now)
    for part in sorted(parts, key=lambda one: -one.start):
        lines[part.start : part.stop] = part.before
    return "".join(lines)


def _suspicion(hunk: Hunk, lines: dict[int, float]) -> float:
    """Return the suspicion of the most suspect line in or beside a hunk."""
    return max((lines.get(n, 0.0) for n in range(hunk.start, hunk.stop + 2)), default=0.0)


def _draft(
    product: Product, path: str, now: str, parts: tuple[Hunk, ...], commit: Commit, whole: bool
) -> Draft | None:
    """Return the draft of a revert, None where it is no Python, too long or brings in danger."""
    source = taken_back(now, parts)
    try:
        tree, base = parse_quietly(source.removeprefix("\ufeff")), Module(path, now)
    except (SyntaxError, ValueError, RecursionError):
        return None
    same = ast.dump(tree) == ast.dump(base.tree)
    too_long = changed_lines(now, source) > product.max_lines
    if same or too_long or forbidden(tree) - forbidden(base.tree):
        return None
    line = parts[0].start + 1
    function = base.function_at(line)
    share = "all" if whole else "a part of what"
    old, new = ("".join(rows(now)[one.start : one.stop]) for one in parts), parts
    return Draft(
        family="revert",
        kind="replace",
        path=path,
        line=line,
        function=function.qualname if function else "",
        patch=render_diff(path, now, source),
        source=source,
        invented=f"takes back {share} {'that ' if whole else ''}{commit.sha[:12]} changed here",
        tokens=sum(
            changed_tokens(text, "".join(part.before)) for text, part in zip(old, new, strict=True)
        ),
    )
