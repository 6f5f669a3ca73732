"""Tries the ways in order and keeps what each attempt came to."""

from collections.abc import Iterable, Iterator
from functools import cached_property

from selfdrive_dagster.model import (
    Attempt,
    Crash,
    Diagnosis,
    Product,
    Progress,
    Reproducer,
    Reproduction,
    Sandbox,
    Way,
    silent,
)
from selfdrive_dagster.patches.diagnosis.frames import place
from selfdrive_dagster.patches.diagnosis.localise import Coverage, coverage_of
from selfdrive_dagster.patches.reproduce import borrowed, captured, replay
from selfdrive_dagster.patches.reproduce.chance import seeded
from selfdrive_dagster.patches.reproduce.clock import stopped
from selfdrive_dagster.patches.reproduce.draft import Draft
from selfdrive_dagster.patches.reproduce.inferred import inferred
from selfdrive_dagster.patches.reproduce.minimise import minimise
from selfdrive_dagster.patches.reproduce.proving import SURROUNDINGS, prove
from selfdrive_dagster.patches.reproduce.shrink import shrink
from selfdrive_dagster.patches.reproduce.writing import finished, line_width
from selfdrive_dagster.patches.suite import run_suite
from selfdrive_dagster.patches.syntax import Tree


def reproduce(
    diagnosis: Diagnosis,
    product: Product,
    sandbox: Sandbox,
    progress: Progress = silent,
    *,
    coverage: Coverage | None = None,
) -> Reproduction:
    """Make a test that fails on the base revision for the recorded reason, or say why none.

    `coverage` saves a run of the suite when it is known already.
    Raises Refused below a full sandbox.
    """
    crash = diagnosis.crash
    if crash is None or not diagnosis.frames:
        reason = "no reported frame was found in the product's own code"
        attempt = Attempt(way=Way.CAPTURED_ARGUMENTS, target="the trace", outcome=reason)
        return Reproduction(reproducer=None, attempts=(attempt,))
    search = _Search(diagnosis, crash, product, sandbox, progress, coverage)
    return search.run()


class _Search:
    """One search for a reproducer: what every way needs, and what came of each attempt."""

    def __init__(
        self,
        diagnosis: Diagnosis,
        crash: Crash,
        product: Product,
        sandbox: Sandbox,
        progress: Progress,
        coverage: Coverage | None,
    ) -> None:
        self.diagnosis = diagnosis
        self.crash = crash
        self.product = product
        self.sandbox = sandbox
        self.progress = progress
        self.given_coverage = coverage
        self.tree = Tree(product)
        self.placed = place(self.tree, crash)[1]
        self.attempts: list[Attempt] = []

    def run(self) -> Reproduction:
        """Try the ways in order; the first that reproduces ends the search."""
        for sentence, drafts in (
            ("calling it with the recorded arguments", self._captured),
            ("borrowing the state of a passing test", self._borrowed),
            ("giving a borrowed object what the exception tells of it", self._inferred),
            ("sending the recorded request", self._replayed),
        ):
            self.progress(sentence)
            reproducer = self._first(drafts())
            if reproducer is not None:
                return Reproduction(reproducer=reproducer, attempts=tuple(self.attempts))
        return Reproduction(reproducer=None, attempts=tuple(self.attempts))

    def _captured(self) -> Iterable[Draft | Attempt]:
        return captured.drafts(self.tree, self.product, self.diagnosis, self.placed)

    def _borrowed(self) -> Iterable[Draft | Attempt]:
        return borrowed.drafts(self.tree, self.product, self.diagnosis, self.placed, self.coverage)

    def _inferred(self) -> Iterable[Draft | Attempt]:
        inner = self.placed[0][1]
        module = self.tree.module(inner.path)
        function = module.function(inner.function) if module else None
        told = inferred(module, function, self.diagnosis) if module and function else ()
        if not told:
            return ()
        return borrowed.drafts(
            self.tree, self.product, self.diagnosis, self.placed, self.coverage, told
        )

    def _replayed(self) -> Iterable[Draft | Attempt]:
        return replay.drafts(self.tree, self.product, self.diagnosis, self.placed, self.coverage)

    @cached_property
    def coverage(self) -> Coverage:
        """Run the product's tests once on base, to learn which lines each one runs."""
        if self.given_coverage is not None:
            return self.given_coverage
        self.progress("watching which lines the product's tests run")
        return coverage_of(run_suite(self.product, self.sandbox, lines=True))

    def _first(self, found: Iterable[Draft | Attempt]) -> Reproducer | None:
        """Prove a way's drafts together; record all attempts, return the first that holds."""
        given = tuple(self._held_still(found))
        drafts = tuple(one for one in given if isinstance(one, Draft))
        proofs = prove(drafts, self.diagnosis, self.product, self.sandbox) if drafts else {}
        for one in given:
            if isinstance(one, Attempt):
                self.attempts.append(one)
                continue
            proof = proofs[one.path]
            self.attempts.append(Attempt(way=one.way, target=one.tried, outcome=proof.outcome))
            if proof.confirmed:
                self.progress("replacing what users wrote by made-up texts")
                small = minimise(one, self.diagnosis, self.product, self.sandbox)
                shrunk = shrink(small, self.diagnosis, self.product, self.sandbox)
                return self._reproducer(shrunk, proof.node_ids)
        return None

    def _held_still(self, found: Iterable[Draft | Attempt]) -> Iterator[Draft | Attempt]:
        """Try a draft with the clock of the crash first, and with seeds, if its functions ask."""
        for one in found:
            if isinstance(one, Attempt):
                yield one
                continue
            then = stopped(one, self.tree, self.placed, self.crash)
            for draft in (one,) if then is None else (then, one):
                yield from seeded(draft, self.tree, self.placed)

    def _reproducer(self, draft: Draft, node_ids: tuple[str, ...]) -> Reproducer:
        inner = self.diagnosis.frames[0]
        width = line_width(self.product)
        return Reproducer(
            way=draft.way,
            path=draft.path,
            source=finished(draft.source, frozenset(), (SURROUNDINGS,), width),
            node_ids=node_ids,
            exception_type=self.diagnosis.exception_type,
            function=inner.function,
            target_path=inner.path,
            arguments=draft.arguments,
            production_values=draft.production_values,
        )
