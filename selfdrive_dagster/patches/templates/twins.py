"""Twin edit: the same change on identical code elsewhere in the file."""

import ast
from collections.abc import Callable, Iterator
from itertools import islice

from selfdrive_dagster.patches.templates.site import Rewrite, Site
from selfdrive_dagster.patches.text import Edit

_EACH = 12
"""How many rewrites of each family are tried on twins: the likeliest come first."""


def twins_of(*families: Callable[[Site], Iterator[Rewrite]]) -> Callable[[Site], Iterator[Rewrite]]:
    """Return the family that makes the others' likeliest edits on all identical statements."""

    def twin(site: Site) -> Iterator[Rewrite]:
        places = _identical(site)
        if not places:
            return
        for family in families:
            for rewrite in islice(family(site), _EACH):
                yield from _everywhere(site, rewrite, places)

    return twin


def _identical(site: Site) -> list[int]:
    """Return how far away the identical statements stand, in characters."""
    text = site.text(site.statement)
    here = site.module.lines.span(site.statement).start
    if isinstance(site.statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    return [
        site.module.lines.span(other).start - here
        for other in site.module.all(type(site.statement))
        if other is not site.statement
        and other not in site.module.sealed
        and site.text(other) == text
    ]


def _everywhere(site: Site, rewrite: Rewrite, places: list[int]) -> Iterator[Rewrite]:
    span = site.module.lines.span(site.statement)
    if all(span.start <= edit.start and edit.end <= span.stop for edit in rewrite.edits):
        moved = [
            Edit(edit.start + away, edit.end + away, edit.new)
            for away in places
            for edit in rewrite.edits
        ]
        says = f"{rewrite.invented}, on {len(places) + 1} identical statements"
        yield Rewrite((*rewrite.edits, *moved), says, rewrite.cost, rewrite.kind)
