"""One slow path taken all the way: handler, workload, profile, ideas, proof, expected effect.

Abstains with a reason wherever a step cannot be shown. Belongs here: the order of the steps. Does
not belong: where the issue came from, and what becomes of the result.
"""

import time
from statistics import median

import msgspec

from selfdrive_dagster.model import Candidate, Product, Progress, Sandbox, Verdict, silent
from selfdrive_dagster.patches.improve import (
    Effect,
    Handler,
    Profile,
    SlowPath,
    Workload,
    expected,
    handler_of,
    ideas,
    profile,
    workload_of,
)
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.syntax import Tree
from selfdrive_dagster.validation.improve.gain import Gain
from selfdrive_dagster.validation.improve.proving import Proven, prove_improvements
from selfdrive_dagster.validation.repair import measure_base

LIKENESS = 0.1
"""Of a request's time in production, that its replay must take to count as the same."""


class Improvement(msgspec.Struct, frozen=True, kw_only=True):
    """All that came of one slow path. `best` needs a human's approval, whatever the settings say.

    `abstained` is "" where there is one, else the reason why there is none.
    """

    slow: SlowPath
    handler: Handler | None
    workload: Workload | None
    profile: Profile | None
    tried: tuple[Proven, ...]
    best: Candidate | None
    effect: Effect | None
    abstained: str
    seconds: float
    notes: tuple[str, ...] = ()
    needs_approval: bool = True


def improve(
    slow: SlowPath,
    product: Product,
    sandbox: Sandbox,
    *,
    base: SuiteRun | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Improvement:
    """Take a slow path to a proven improvement, or to the reason why there is none."""
    start = time.monotonic()
    tree = Tree(product)
    handler = handler_of(tree, slow.route)
    progress(f"{slow.route} is answered by {handler.function}" if handler
             else f"no function was found that answers {slow.route}")  # fmt: skip
    run = base or measure_base(product, sandbox, progress)
    workload, notes = workload_of(slow, handler, tree, run, product, sandbox)
    if workload is None:
        why = "nothing does again what is slow: " + "; ".join(notes)
        return _ended(slow, start, handler=handler, abstained=why, notes=notes)
    progress(f"the workload: {workload.says}")
    seen = profile(workload, product, sandbox)
    if seen.missing:
        return _ended(slow, start, handler=handler, workload=workload, seen=seen,
                      abstained=seen.missing, notes=notes)  # fmt: skip
    drawn = tuple(ideas(seen.hot, tree, product))
    progress(f"{len(drawn)} ideas for {len(seen.hot)} hot functions")
    tried = prove_improvements(drawn, workload, run, product, sandbox, seed=seed, progress=progress)
    return _ended(slow, start, handler=handler, workload=workload, seen=seen, tried=tried,
                  abstained=_why_none(slow, workload, tried, seen), notes=notes)  # fmt: skip


def _why_none(slow: SlowPath, workload: Workload, tried: tuple[Proven, ...], seen: Profile) -> str:
    if tried and tried[0].report.verdict is Verdict.CERTIFIED:
        return unlike(slow, workload, tried[0].gain)
    if not tried:
        hottest = seen.hot[0] if seen.hot else None
        where = f", most of all in {hottest.function} ({hottest.path})" if hottest else ""
        return f"no template fits the functions in which the time is spent{where}"
    return f"of {len(tried)} ideas none was proven; {tried[0].report.reason}"


def unlike(slow: SlowPath, workload: Workload, gain: Gain | None) -> str:
    """Say why a workload is not what production found slow, "" where it may be.

    A host of production may be quicker or slower than the sandbox, but not by so much.
    """
    told = [one.duration_ms for one in slow.requests if one.duration_ms is not None]
    if not told or gain is None:
        return ""
    recorded, replayed = median(told), gain.base_ms / len(workload.node_ids)
    if replayed >= LIKENESS * recorded:
        return ""
    return (
        f"a replayed request takes {replayed:,.0f} ms where production took {recorded:,.0f}: what "
        "is slow there is not what was measured here"
    )


def _ended(
    slow: SlowPath,
    start: float,
    *,
    handler: Handler | None,
    workload: Workload | None = None,
    seen: Profile | None = None,
    tried: tuple[Proven, ...] = (),
    abstained: str = "",
    notes: tuple[str, ...] = (),
) -> Improvement:
    best = tried[0] if tried and not abstained else None
    gain = best.gain if best else None
    return Improvement(
        slow=slow,
        handler=handler,
        workload=workload,
        profile=seen,
        tried=tried,
        best=best.candidate if best else None,
        effect=expected(slow, gain.low, gain.high) if gain else None,
        abstained=abstained,
        seconds=round(time.monotonic() - start, 3),
        notes=notes,
    )
