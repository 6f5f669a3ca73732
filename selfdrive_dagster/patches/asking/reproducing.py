"""Reproducing by a model's test, where our own ways made none.

The test counts as ours do: the recorded type escapes from the recorded function, at the recorded
statement, in two processes. Does not belong here: what such a test may hold (`testing`).
"""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from selfdrive_dagster.model import (
    Attempt,
    Diagnosis,
    Product,
    Progress,
    Reproducer,
    Reproduction,
    Sandbox,
    silent,
)
from selfdrive_dagster.patches.proposers import Proposer, asks_of
from selfdrive_dagster.patches.reproduce.draft import Draft
from selfdrive_dagster.patches.reproduce.proving import prove


@runtime_checkable
class Writer(Protocol):
    """Whoever can write tests that might reproduce a crash."""

    def tests(
        self, diagnosis: Diagnosis, product: Product, attempts: tuple[Attempt, ...]
    ) -> tuple[Draft, ...]:
        """Return tests, the likeliest first; `attempts` tell what was tried before."""
        ...


def reproduce_by_writers(
    proposers: Iterable[Proposer],
    diagnosis: Diagnosis,
    made: Reproduction,
    product: Product,
    sandbox: Sandbox,
    progress: Progress = silent,
) -> Reproduction:
    """Return what was made, or else the first test of a writer that reproduces the crash."""
    if made.reproducer is not None or diagnosis.crash is None or not diagnosis.frames:
        return made
    attempts, asks = made.attempts, made.asks
    for writer in proposers:
        if not isinstance(writer, Writer):
            continue
        progress("asking for a test that reproduces it")
        drafts = writer.tests(diagnosis, product, attempts)
        asks += asks_of(writer)
        proofs = prove(drafts, diagnosis, product, sandbox) if drafts else {}
        for draft in drafts:
            proof = proofs[draft.path]
            attempts += (Attempt(way=draft.way, target=draft.tried, outcome=proof.outcome),)
            if proof.confirmed:
                found = _reproducer(draft, proof.node_ids, diagnosis)
                return Reproduction(reproducer=found, attempts=attempts, asks=asks)
    return Reproduction(reproducer=None, attempts=attempts, asks=asks)


def _reproducer(draft: Draft, node_ids: tuple[str, ...], diagnosis: Diagnosis) -> Reproducer:
    inner = diagnosis.frames[0]
    return Reproducer(
        way=draft.way,
        path=draft.path,
        source=draft.source,
        node_ids=node_ids,
        exception_type=diagnosis.exception_type,
        function=inner.function,
        target_path=inner.path,
        production_values=draft.production_values,
    )
