"""From a diagnosis to drafts: sites, families, interleaving, and the gate every draft passes.

Locations weigh what diagnosis says of them, families what the table says; the two multiply.
"""

import math
from collections.abc import Iterator
from functools import cached_property

import msgspec

from selfdrive_dagster.model import Diagnosis, Product, Suspicion
from selfdrive_dagster.model.product import is_protected, is_test_path
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.facts import gather
from selfdrive_dagster.patches.ingredients import Repository
from selfdrive_dagster.patches.ordering import Stream, interleave
from selfdrive_dagster.patches.templates.checker import Checker
from selfdrive_dagster.patches.templates.site import Rewrite, Site
from selfdrive_dagster.patches.templates.table import Family, weights

_MOST_LOCATIONS = 40
_TOP_LOCATIONS = 5
_FAR = 0.5
"""Beyond the top five locations weights are halved once more (repair.md §6)."""


def generate(diagnosis: Diagnosis, product: Product, *, limit: int) -> Iterator[Draft]:
    """Yield at most `limit` drafts, best first; lazily, deterministically, none twice."""
    repository = Repository(product)
    checker = Checker(repository, vouching=not diagnosis.failing_tests)
    made = 0
    streams = _streams(diagnosis, product, repository)
    for clock, (family, site, rewrite) in interleave(streams):
        if made >= limit:
            return
        draft = checker.draft(family, site, rewrite)
        if draft is not None:
            made += 1
            yield msgspec.structs.replace(draft, bits=math.log2(clock))


_Item = tuple[str, Site, Rewrite]


def _streams(
    diagnosis: Diagnosis, product: Product, repository: Repository
) -> Iterator[Stream[_Item]]:
    exception = diagnosis.exception_type.rpartition(".")[2]
    families = weights(exception, diagnosis.words, tested=bool(diagnosis.failing_tests))
    for place, suspicion in enumerate(locations(diagnosis, product)):
        share = suspicion.score * (1.0 if place < _TOP_LOCATIONS else _FAR)
        sites = _Sites(diagnosis, repository, suspicion)
        for family, weight in families:
            yield Stream(weight=weight * share, items=_rewrites(sites, family))


def locations(diagnosis: Diagnosis, product: Product) -> list[Suspicion]:
    """Return the suspected lines that may be edited, most suspicious first.

    Without suspicions the frames stand in, innermost first.
    """
    suspected = diagnosis.suspicions or tuple(
        Suspicion(path=f.path, line=f.line, function=f.function, score=1.0 / (1 + f.depth), why="")
        for f in diagnosis.frames
    )
    ranked = sorted(suspected, key=lambda s: (-s.score, s.path, s.line))
    allowed = [s for s in ranked if s.score > 0 and is_editable(s.path, product)]
    return allowed[:_MOST_LOCATIONS]


def is_editable(path: str, product: Product) -> bool:
    """Say whether a patch may touch a file: the product's own code, no test, not protected."""
    leaves = path.startswith(("/", "..")) or "/../" in path
    own = not product.source or any(
        path == folder or path.startswith(folder.rstrip("/") + "/") or folder == "."
        for folder in product.source
    )
    guarded = is_protected(path, product.protected) or is_test_path(path)
    return path.endswith(".py") and own and not (leaves or guarded)


class _Sites:
    """The statements of one suspected line, looked up when the first family asks."""

    def __init__(self, diagnosis: Diagnosis, repository: Repository, suspicion: Suspicion) -> None:
        self._diagnosis, self._repository, self._suspicion = diagnosis, repository, suspicion

    @cached_property
    def found(self) -> tuple[Site, ...]:
        """The sites, `()` when the file is gone or no Python."""
        line = self._suspicion.line
        module = self._repository.module(self._suspicion.path)
        if module is None:
            return ()
        return tuple(
            Site(
                module,
                statement,
                line,
                gather(self._diagnosis, module, module.function_of(statement)),
                self._repository,
            )
            for statement in module.statements_at(line)
        )


def _rewrites(sites: _Sites, family: Family) -> Iterator[tuple[float, _Item]]:
    """Yield one family's rewrites at one location, with their costs."""
    for site in sites.found:
        for rewrite in family.make(site):
            yield rewrite.cost, (family.name, site, rewrite)
