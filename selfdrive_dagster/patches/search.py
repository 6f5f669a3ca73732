"""Search: draw candidates from the templates and try them in forks until enough hold.

The budget counts candidates, not seconds, so that a search can be repeated; the clock is only
a safety net. A survivor is *plausible*: it passes the reproducer and the tests that reach the
file, in a fork. Proving it is the work of `validation`. Candidates without an answer are not
candidates that failed: where a sandbox ends before its time, `stopped` says so.
"""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

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
from selfdrive_dagster.patches.claims import claim_of, supports
from selfdrive_dagster.patches.drafts import BUILTIN, Draft
from selfdrive_dagster.patches.earlier import Earlier, essence_of
from selfdrive_dagster.patches.lengths import length_of
from selfdrive_dagster.patches.ordering import rank_key
from selfdrive_dagster.patches.pairs import Partial, pairs
from selfdrive_dagster.patches.proposers import Asking, Proposer, Templates
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.trying import Answered, try_wave
from selfdrive_dagster.patches.waves import Wave, drafts_of, revised_by, waves

SELDOM = 100_000
"""New objects between two collections of garbage while a search runs."""

ROOM_FOR_ASKED = 8
"""Candidates kept free for each proposer that asks a model, which drafts late."""

PLAUSIBLE, REFUSED = "plausible", "refused"
"""What holds in a fork; and what holds there and breaks a rule of what a patch may do."""

Allowed = Callable[[str], bool]
"""Says of a unified diff whether a patch may be so at all."""


def anything(_patch: str) -> bool:
    """Allow every patch."""
    return True


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
    allowed: Allowed = anything,
) -> Search:
    """Try up to `max_candidates`; `base` is the whole suite's run on the base, with lines.

    What holds and is not `allowed` counts as refused: the search goes on without it.
    """
    hunt = _Hunt(diagnosis, product, proposers, earlier, max_candidates, seconds)
    progress("drafting candidates")
    early, stopped = "", "the candidates are exhausted"
    with _collecting_seldom():
        for wave in _whole(hunt.waves(reproducer), hunt):
            if hunt.left <= 0:
                stopped = f"{seconds:g} s are over"
                break
            told = try_wave(wave, reproducer, base, product, sandbox, hunt.left, progress)
            early = hunt.keep(told, allowed) or early
            progress(f"tried {len(hunt.tried)} candidates, {len(hunt.held)} plausible")
            if hunt.held:
                are = "is" if len(hunt.held) == 1 else "are"
                why = early or "enough of the likeliest kind"
                stopped = f"{len(hunt.held)} {are} plausible: {why}"
                break
            stopped = early or stopped
        ranked = _ranked(hunt.held, reproducer, product)
    return Search(
        plausible=ranked,
        tried=len(hunt.tried),
        outcomes=dict(Counter(outcome for _, outcome in hunt.tried)),
        families=dict(Counter(draft.family for draft, _ in hunt.tried)),
        seconds=round(seconds - hunt.left, 3),
        stopped=stopped,
        barred=hunt.barred,
        asks=tuple(ask for one in hunt.asking for ask in one.told()),
    )


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Let garbage be collected seldom: syntax trees are many objects that live on, and to look
    through them again and again takes a tenth of a search."""
    before = gc.get_threshold()
    gc.set_threshold(SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _whole(waves: Iterable[Wave], hunt: "_Hunt") -> Iterator[Wave]:
    """Yield each wave, and what is left of it where all that held of it is refused."""
    for wave in waves:
        before = -1
        while wave.drafts and before < len(hunt.tried):
            before = len(hunt.tried)
            yield wave
            refused = any(outcome == REFUSED for _, outcome in hunt.tried[before:])
            known = {id(draft) for draft, _ in hunt.tried}
            left = tuple(draft for draft in wave.drafts if id(draft) not in known)
            wave = Wave(left if refused else (), wave.enough)


class _Hunt:
    """One search under way: what was tried and left out so far, and what is left of its budget."""

    def __init__(
        self,
        diagnosis: Diagnosis,
        product: Product,
        proposers: tuple[Proposer, ...],
        earlier: tuple[Earlier, ...],
        most: int,
        seconds: float,
    ) -> None:
        self.diagnosis, self.product, self.most = diagnosis, product, most
        self.asking = tuple(one for one in proposers if isinstance(one, Asking))
        self.others = tuple(one for one in proposers if not isinstance(one, Asking))
        self.known = {one.essence for one in earlier if one.bars}
        self.end = time.monotonic() + seconds
        self.tried: list[tuple[Draft, str]] = []
        self.partial: list[Partial] = []
        self.barred = 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    @property
    def held(self) -> list[Draft]:
        """What was plausible so far."""
        return [draft for draft, outcome in self.tried if outcome == PLAUSIBLE]

    def keep(self, told: Answered, allowed: Allowed) -> str:
        """Keep a wave's answers; return what ended it early."""
        self.tried += [
            (draft, REFUSED if outcome == PLAUSIBLE and not allowed(draft.patch) else outcome)
            for draft, outcome in told.answers
        ]
        self.partial += told.partial
        return told.early

    def waves(self, reproducer: Reproducer) -> Iterator[Wave]:
        """Yield the waves of this search, each drawn when it is its turn."""
        most = self.most - min(ROOM_FOR_ASKED * len(self.asking), self.most)
        drafts = self._fresh(drafts_of(self.diagnosis, self.product, self.others, most))
        yield from waves(drafts, reproducer, self._asked(), self._paired, most)

    def _asked(self) -> Iterator[tuple[Draft, ...]]:
        for draw in (drafts_of, revised_by):
            if self.left > 0:
                most = self.most - len(self.tried)
                drawn = draw(self.diagnosis, self.product, self.asking, most, self.tried)
                yield tuple(self._fresh(drawn))

    def _paired(self, whole: bool, limit: int) -> tuple[Draft, ...]:
        these = [one for one in self.partial if one.whole == whole]
        return tuple(self._fresh(pairs(these, self.diagnosis, self.product, limit=limit)))

    def _fresh(self, drawn: Iterable[Draft]) -> Iterator[Draft]:
        """Yield drafts without those that an earlier change tried in vain, which are counted."""
        for draft in drawn:
            if self.known and essence_of(draft.patch) in self.known:
                self.barred += 1
            else:
                yield draft


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
    allowed: Allowed = anything,
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
        allowed=allowed,
    )
    return msgspec.structs.replace(found, asks=reproduction.asks + found.asks)


def _ranked(
    survivors: list[Draft], reproducer: Reproducer, product: Product
) -> tuple[Candidate, ...]:
    """Rank survivors: supported repairs first, then what was made for this very crash, then by
    the length and kind of the change; of mitigations the one that changes fewest tokens."""
    by_test = reproducer.way is Way.FAILING_TEST
    made = []
    for order, draft in enumerate(survivors):
        claim, invented = claim_of(draft, failing_test=by_test)
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
            supports=draft.supports or (supports(draft, product) if by_test else ()),
            author=draft.author,
            bits=round(draft.bits, 2),
        )
        length = length_of(candidate) if claim is Claim.REPAIR else draft.tokens
        size = rank_key(draft.kind, length, order)
        key = (claim is not Claim.REPAIR, draft.generator == BUILTIN, *size)
        made.append((key, candidate))
    made.sort(key=lambda pair: pair[0])
    return tuple(
        msgspec.structs.replace(candidate, rank=rank)
        for rank, (_, candidate) in enumerate(made, start=1)
    )
