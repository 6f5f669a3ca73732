"""Search: draw candidates from the templates and try them in forks until enough hold.

The budget counts candidates, not seconds, so that a search can be repeated; the clock is only
a safety net. A survivor is *plausible*: it passes the reproducer and the tests that reach the
file, in a fork. Proving it is the work of `validation`. Candidates without an answer are not
candidates that failed: where a sandbox ends before its time, `stopped` says so.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from selfdrive_dagster.model import (
    Ask,
    Candidate,
    Claim,
    Diagnosis,
    Product,
    Progress,
    Reproducer,
    Reproduction,
    Sandbox,
    Way,
    short_id,
    silent,
)
from selfdrive_dagster.patches.claims import claim_of
from selfdrive_dagster.patches.drafts import BUILTIN, Draft
from selfdrive_dagster.patches.earlier import Earlier, essence_of
from selfdrive_dagster.patches.ordering import rank_key
from selfdrive_dagster.patches.pairs import Partial, pairs
from selfdrive_dagster.patches.proposers import Asking, Proposer, Templates
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.trying import try_wave
from selfdrive_dagster.patches.waves import drafts_of, revised_by, waves

ROOM_FOR_ASKED = 8
"""Candidates kept free for each proposer that asks a model, which drafts late."""

PROPOSERS: tuple[Proposer, ...] = (Templates(),)


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried. `plausible` is ranked, the likeliest first; counts are candidates.

    `barred` are drafts left out since an earlier change that did not hold was the same; `asks`
    are the questions that a model was asked, with what each cost.
    """

    plausible: tuple[Candidate, ...]
    tried: int
    outcomes: dict[str, int]
    families: dict[str, int]
    seconds: float
    stopped: str
    barred: int = 0
    asks: tuple[Ask, ...] = ()


def search(
    diagnosis: Diagnosis,
    reproducer: Reproducer,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    *,
    max_candidates: int,
    seconds: float,
    progress: Progress = silent,
    proposers: tuple[Proposer, ...] = PROPOSERS,
    earlier: tuple[Earlier, ...] = (),
) -> Search:
    """Try up to `max_candidates`; `base` is the whole suite's run on the base, with lines."""
    start = time.monotonic()
    progress("drafting candidates")
    known = {one.essence for one in earlier if one.bars}
    tried: list[tuple[Draft, str]] = []
    barred: list[Draft] = []

    def fresh(drawn: Iterable[Draft]) -> tuple[Draft, ...]:
        made = tuple(drawn)
        again = [draft for draft in made if essence_of(draft.patch) in known]
        barred.extend(again)
        return tuple(draft for draft in made if draft not in again)

    def asked() -> Iterator[tuple[Draft, ...]]:
        for draw in (drafts_of, revised_by):
            if time.monotonic() - start < seconds:
                left = max_candidates - len(tried)
                yield fresh(draw(diagnosis, product, asking, left, tried))

    halves: list[Partial] = []

    def paired(whole: bool, limit: int) -> tuple[Draft, ...]:
        these = [one for one in halves if one.whole == whole]
        return fresh(pairs(these, diagnosis, product, limit=limit))

    asking = tuple(one for one in proposers if isinstance(one, Asking))
    others = tuple(one for one in proposers if not isinstance(one, Asking))
    room = min(ROOM_FOR_ASKED * len(asking), max_candidates)
    drafts = fresh(drafts_of(diagnosis, product, others, max_candidates - room))
    early, stopped = "", "the candidates are exhausted"
    spare = max_candidates - room - len(drafts)
    for wave in waves(drafts, reproducer, asked(), paired, spare):
        left = seconds - (time.monotonic() - start)
        if left <= 0:
            stopped = f"{seconds:g} s are over"
            break
        answers, short, some = try_wave(wave, reproducer, base, product, sandbox, left, progress)
        tried += answers
        halves += some
        early = short or early
        held = sum(outcome == "plausible" for _, outcome in tried)
        progress(f"tried {len(tried)} candidates, {held} plausible")
        if held:
            are = "is" if held == 1 else "are"
            stopped = f"{held} {are} plausible: {early or 'enough of the likeliest kind'}"
            break
        stopped = early or stopped
    return Search(
        plausible=_ranked([d for d, outcome in tried if outcome == "plausible"], reproducer),
        tried=len(tried),
        outcomes=dict(Counter(outcome for _, outcome in tried)),
        families=dict(Counter(draft.family for draft, _ in tried)),
        seconds=round(time.monotonic() - start, 3),
        stopped=stopped,
        barred=len(barred),
        asks=tuple(ask for one in asking for ask in one.told()),
    )


def search_if_reproduced(
    diagnosis: Diagnosis,
    reproduction: Reproduction,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    *,
    max_candidates: int,
    seconds: float,
    progress: Progress = silent,
    proposers: tuple[Proposer, ...] = PROPOSERS,
    earlier: tuple[Earlier, ...] = (),
) -> Search:
    """Search, or say that without a reproducer no patch can be tried."""
    if reproduction.reproducer is None:
        nothing = "there is no reproducer"
        return Search(
            plausible=(),
            tried=0,
            outcomes={},
            families={},
            seconds=0.0,
            stopped=nothing,
            asks=reproduction.asks,
        )
    found = search(
        diagnosis,
        reproduction.reproducer,
        base,
        product,
        sandbox,
        max_candidates=max_candidates,
        seconds=seconds,
        progress=progress,
        proposers=proposers,
        earlier=earlier,
    )
    return msgspec.structs.replace(found, asks=reproduction.asks + found.asks)


def _ranked(survivors: list[Draft], reproducer: Reproducer) -> tuple[Candidate, ...]:
    """Rank survivors: supported repairs first, then what was made for this very crash, then by
    the size and kind of the change."""
    by_test = reproducer.way is Way.FAILING_TEST
    made = []
    for order, draft in enumerate(survivors):
        claim, invented = claim_of(draft, failing_test=by_test)
        size = rank_key(draft.kind, draft.tokens, order)
        key = (claim is not Claim.REPAIR, draft.generator == BUILTIN, *size)
        candidate = Candidate(
            id=short_id("cnd", draft.patch),
            generator=draft.generator,
            family=draft.family,
            path=draft.path,
            line=draft.line,
            function=draft.function,
            patch=draft.patch,
            claim=claim,
            invented=invented,
            supports=draft.supports,
            author=draft.author,
        )
        made.append((key, candidate))
    made.sort(key=lambda pair: pair[0])
    return tuple(
        msgspec.structs.replace(candidate, rank=rank)
        for rank, (_, candidate) in enumerate(made, start=1)
    )
