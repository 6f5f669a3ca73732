"""Search: draw candidates from the templates and try them in forks until enough hold.

The budget counts candidates, not seconds, so that a search can be repeated; the clock is only
a safety net. A survivor is *plausible*: it passes the reproducer and the tests that reach the
file, in a fork. Proving it is the work of `validation`. Candidates without an answer are not
candidates that failed: where a sandbox ends before its time, `stopped` says so.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from selfdrive_dagster.model import (
    Ask,
    Candidate,
    Claim,
    Diagnosis,
    Ending,
    Job,
    Product,
    Progress,
    Ran,
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
from selfdrive_dagster.patches.proposers import Asking, Proposer, Templates
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.waves import Wave, drafts_of, revised_by, waves

ROOM_FOR_ASKED = 8
"""Candidates kept free for each proposer that asks a model, which drafts late."""

TOLD = 50

REACHING_TESTS = 60
SHORTEST_DEADLINE = 1.0
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

    asking = tuple(one for one in proposers if isinstance(one, Asking))
    others = tuple(one for one in proposers if not isinstance(one, Asking))
    room = min(ROOM_FOR_ASKED * len(asking), max_candidates)
    drafts = fresh(drafts_of(diagnosis, product, others, max_candidates - room))
    early, stopped = "", "the candidates are exhausted"
    for wave in waves(drafts, reproducer, asked()):
        left = seconds - (time.monotonic() - start)
        if left <= 0:
            stopped = f"{seconds:g} s are over"
            break
        answers, ran = _try(wave, reproducer, base, product, sandbox, left, progress)
        tried += answers
        early = _early(wave, len(answers), ran, seconds) or early
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


def _try(
    wave: Wave,
    reproducer: Reproducer,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    seconds: float,
    progress: Progress,
) -> tuple[list[tuple[Draft, str]], Ran]:
    """Try one wave in one sandbox; return those that got an answer with it, and how it ended."""
    by_id = {str(number): draft for number, draft in enumerate(wave.drafts)}
    job = Job(
        program="trial",
        tree=product.root,
        python=product.python,
        import_roots=product.import_roots(),
        overlay={} if reproducer.source is None else {reproducer.path: reproducer.source},
        seconds=seconds,
        spec={
            "candidates": [
                {"id": key, "path": draft.path, "source": draft.source}
                for key, draft in by_id.items()
            ],
            "targets": list(reproducer.node_ids),
            "suite": list(_reaching({d.path for d in wave.drafts}, reproducer, base)),
            "args": list(product.tests),
            "deadline_seconds": _deadline(reproducer, base),
            "stop_after": wave.enough,
        },
    )
    answers: list[tuple[Draft, str]] = []

    def hear(line: dict[str, Any]) -> None:
        if line.get("kind") == "trial" and str(line.get("id")) in by_id:
            answers.append((by_id[str(line["id"])], str(line.get("outcome"))))
            held = [number for number, (_, outcome) in enumerate(answers) if outcome == "plausible"]
            if held == [len(answers) - 1]:
                progress(f"candidate {len(answers)} is plausible")
            elif len(answers) % TOLD == 0:
                progress(f"tried {len(answers)} of {len(wave.drafts)} candidates")

    ran = sandbox.run(job, hear)
    return answers, ran


def _early(wave: Wave, answered: int, ran: Ran, seconds: float) -> str:
    """Say why a wave ended before its time, "" when it did not."""
    if any(line.get("kind") == "end" for line in ran.lines) and ran.ending is Ending.EXITED:
        silent_session = wave.drafts and not answered
        return "no answer came: the reproducer cannot be collected" if silent_session else ""
    told = _ENDED[ran.ending].format(seconds=seconds, status=ran.status)
    return f"{told} when {answered} of {len(wave.drafts)} candidates had an answer"


_ENDED = {
    Ending.EXITED: "the trials exited with {status}",
    Ending.TIMED_OUT: "{seconds:g} s were over",
    Ending.OUTPUT_CAPPED: "the trials wrote more than they may",
    Ending.KILLED: "the sandbox was killed (it may have wanted too much memory)",
}
"""The words of each ending before the end."""


def _reaching(paths: set[str], reproducer: Reproducer, base: SuiteRun) -> tuple[str, ...]:
    """Return passing tests that run lines of these files, the quickest first."""
    own = set(reproducer.node_ids)
    reaching = [
        node_id
        for node_id in base.with_outcome("passed")
        if node_id not in own and paths & set(base.lines.get(node_id, {}))
    ]
    reaching.sort(key=lambda node_id: base.tests[node_id].seconds)
    return tuple(reaching[:REACHING_TESTS])


def _deadline(reproducer: Reproducer, base: SuiteRun) -> float:
    """Five times the slowest test that may run, at least a second."""
    slowest = max((test.seconds for test in base.tests.values()), default=0.0)
    return max(SHORTEST_DEADLINE, 5 * min(slowest, 2.0))


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
