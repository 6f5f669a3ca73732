"""What would have been put forward for a reproduced crash, and what asking Claude would have cost.

The built-in engine drafts, tries and proves as in the loop; no model is asked. Belongs here: one
crash after its reproducer. Does not belong: adding up and telling (`show`).
"""

from enum import Enum

import msgspec

from selfdrive_dagster.adapters.claude.opening import caps_of, terms_of
from selfdrive_dagster.config.settings import Patches
from selfdrive_dagster.model import (
    Diagnosis,
    Product,
    Progress,
    Reproduction,
    Sandbox,
    Verdict,
)
from selfdrive_dagster.patches.asking.projecting import Projection, project
from selfdrive_dagster.patches.drafts import BUILTIN
from selfdrive_dagster.patches.search import search_if_reproduced
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.validation.gate import prove_if_reproduced
from selfdrive_dagster.validation.patched import allowed_in
from selfdrive_dagster.validation.repair import Budget

LEAST_SECONDS = 1.0


class Ended(Enum):
    """How the built-in engine's work on a reproduced crash ended."""

    REPAIR = "repair"
    CONTAINMENT = "containment"
    ABSTAINED = "abstained"


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """What would have been put before a person: a patch with its claim, or none and why not."""

    ended: Ended
    says: str
    patch: str = ""
    tried: int = 0


def propose(
    diagnosis: Diagnosis,
    made: Reproduction,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    seconds: float,
    progress: Progress,
) -> Proposed:
    """Search, try and prove with the built-in engine alone, for so many seconds at most."""
    budget = Budget(seconds=max(LEAST_SECONDS, min(seconds, Budget().seconds)))
    found = search_if_reproduced(
        diagnosis,
        made,
        base,
        product,
        sandbox,
        max_candidates=budget.max_candidates,
        seconds=budget.seconds,
        progress=progress,
        allowed=allowed_in(product),
    )
    proof = prove_if_reproduced(
        found.plausible, made, base, product, sandbox, progress, seed=budget.seed
    )
    report = next(
        (r for r in proof.reports if proof.best and r.candidate_id == proof.best.id), None
    )
    ended = ENDED.get(report.verdict, Ended.ABSTAINED) if report else Ended.ABSTAINED
    if proof.best is None or ended is Ended.ABSTAINED:
        why = proof.reports[0].reason if proof.reports else "no patch held"
        return Proposed(ended=Ended.ABSTAINED, says=why, tried=found.tried)
    where = f"{proof.best.path}:{proof.best.line} in {proof.best.function or 'the module'}"
    says = f"{where}, {proof.best.invented}" if proof.best.invented else where
    return Proposed(ended=ended, says=says, patch=proof.best.patch, tried=found.tried)


ENDED = {Verdict.CERTIFIED: Ended.REPAIR, Verdict.CONTAINED: Ended.CONTAINMENT}


def ask_price(
    diagnosis: Diagnosis,
    made: Reproduction,
    proposed: Proposed | None,
    product: Product,
    settings: Patches,
) -> Projection | None:
    """Return what asking Claude would cost; None where it would not be asked, or nobody knows.

    Beside the built-in engine it is asked only where that made no repair. The cap per change
    bounds the range, as it would bound the asking.
    """
    alone = BUILTIN not in settings.generators
    if proposed is not None and proposed.ended is Ended.REPAIR and not alone:
        return None
    told = project(diagnosis, made, product, terms_of(settings))
    cap = caps_of(settings).change
    if told is None or cap is None:
        return told
    return msgspec.structs.replace(
        told,
        likely_micros=min(told.likely_micros, cap),
        most_micros=min(told.most_micros, cap),
    )
