"""Try the drafts of a wave in forks, in two sandboxes side by side.

Each *lane* is a sandbox of its own, so that two candidates that run at once share no file, port
or process. Which draft goes to which lane and when a lane has enough is fixed before they start:
the same wave gets the same answers, however many cores there are.

Belongs here: jobs, deadlines, and which tests run. Does not belong: which drafts, and what a
survivor is worth (`search`).
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from threading import Lock
from typing import Any

import msgspec

from selfdrive_dagster.model import Ending, Job, Product, Progress, Ran, Reproducer, Sandbox, silent
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.pairs import Partial, partial
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.text import shared
from selfdrive_dagster.patches.waves import Wave

LANES = 2
LEAST_FOR_LANES = 60
"""Drafts from which on a second sandbox is worth its start."""

TOLD = 50

REACHING_SECONDS = 10.0
"""What the tests that reach a file may take together on base: a survivor passes all of them, so
that what the whole suite would refuse is seldom taken for a repair."""

SHORTEST_DEADLINE = 2.0
"""Seconds on the wall that any test may take, for tests that wait."""

SHORTEST_CPU, CPU_TIMES = 0.25, 10
"""Seconds of computing that any test may take at first, and how many times what it took on base.

An endless loop is the dearest candidate. Those that pass this bound are tried once more with the
whole deadline where too little else holds, since the right patch may take the longer way.
"""


class Answered(msgspec.Struct, frozen=True):
    """The drafts of a wave that got an answer, with it, in the wave's order.

    `early` says what ended it before its time, "" where every lane came to its end; `partial` are
    those that turned a failing test green and do not hold.
    """

    answers: list[tuple[Draft, str]]
    early: str
    partial: list[Partial]


class Heard(msgspec.Struct):
    """What is known of a wave so far, by the number of each draft: its outcome, what ended it."""

    outcomes: dict[int, str] = {}
    held: int = 0
    by: dict[int, str] = {}


def try_wave(
    wave: Wave,
    reproducer: Reproducer,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    seconds: float,
    progress: Progress = silent,
) -> Answered:
    """Try drafts until enough hold; the whole of a wave takes `seconds` at most."""
    lanes = LANES if len(wave.drafts) >= LEAST_FOR_LANES else 1
    told, turn = Heard(), Lock()

    def hear(line: dict[str, Any]) -> None:
        if line.get("kind") != "trial":
            return
        with turn:
            _keep(told, line, len(wave.drafts), progress)

    jobs = [
        _job(wave, range(lane, len(wave.drafts), lanes), -(-wave.enough // lanes), seconds,
             reproducer, base, product)
        for lane in range(lanes)
    ]  # fmt: skip
    with ThreadPoolExecutor(lanes) as pool:
        ended = list(pool.map(lambda job: sandbox.run(job, hear), jobs))
    answers = [(wave.drafts[number], told.outcomes[number]) for number in sorted(told.outcomes)]
    early = (_early(wave, len(answers), ran, seconds) for ran in ended)
    halves = (
        partial(wave.drafts[number], told.by.get(number, ""), reproducer.node_ids)
        for number in sorted(told.outcomes)
    )
    return Answered(
        answers=answers,
        early=next((sentence for sentence in early if sentence), ""),
        partial=[one for one in halves if one is not None],
    )


def _keep(told: Heard, line: dict[str, Any], drafts: int, progress: Progress) -> None:
    number, outcome = str(line.get("id")), str(line.get("outcome"))
    if not number.isdecimal() or int(number) >= drafts:
        return
    told.outcomes[int(number)] = outcome
    told.by[int(number)] = str(line.get("by", ""))
    if outcome == "plausible":
        told.held += 1
        if told.held == 1:
            progress(f"candidate {int(number) + 1} is plausible")
    if len(told.outcomes) % TOLD == 0:
        progress(f"tried {len(told.outcomes)} of {drafts} candidates")


def _job(
    wave: Wave,
    numbers: range,
    enough: int,
    seconds: float,
    reproducer: Reproducer,
    base: SuiteRun,
    product: Product,
) -> Job:
    paths = {draft.path for draft in wave.drafts}
    texts = {path: product.read(path) for path in paths if product.has(path)}
    suite = _reaching(paths, reproducer, base)
    return Job(
        program="trial",
        tree=product.root,
        python=product.python,
        import_roots=product.import_roots(),
        overlay={} if reproducer.source is None else {reproducer.path: reproducer.source},
        seconds=seconds,
        spec={
            "candidates": [
                {"id": str(number), **_change(wave.drafts[number], texts)} for number in numbers
            ],
            "targets": list(reproducer.node_ids),
            "suite": list(suite),
            "args": list(product.tests),
            "deadline_seconds": _deadline(base),
            "cpu_seconds": {one: _cpu(base, one) for one in (*reproducer.node_ids, *suite)},
            "stop_after": enough,
        },
    )


def _change(draft: Draft, texts: dict[str, str]) -> dict[str, Any]:
    """Return what a draft makes of its file: the characters from `start` to `stop` are `text`."""
    old, new = texts[draft.path], draft.source
    start = shared(old, new)
    tail = shared(old[start:][::-1], new[start:][::-1])
    text = new[start : len(new) - tail]
    return {"path": draft.path, "start": start, "stop": len(old) - tail, "text": text}


def _early(wave: Wave, answered: int, ran: Ran, seconds: float) -> str:
    """Say why a wave ended before its time, "" when it did not."""
    if any(line.get("kind") == "end" for line in ran.lines) and ran.ending is Ending.EXITED:
        silent_session = wave.drafts and not answered
        return "no answer came: the reproducer cannot be collected" if silent_session else ""
    told = _ENDED[ran.ending].format(seconds=seconds, status=ran.status)
    return f"{told} when {answered} of {len(wave.drafts)} candidates had an answer"


_ENDED = {
    Ending.EXITED: "the trials exited with {status}",
    Ending.TIMED_OUT: "{seconds:.0f} s were over",
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
    took = accumulate(base.tests[node_id].seconds for node_id in reaching)
    return tuple(i for i, sum_of in zip(reaching, took, strict=True) if sum_of <= REACHING_SECONDS)


def _deadline(base: SuiteRun) -> float:
    """Five times the slowest test that may run, at least two seconds."""
    slowest = max((_took(base, node_id) for node_id in base.tests), default=0.0)
    return max(SHORTEST_DEADLINE, 5 * min(slowest, 2.0))


def _cpu(base: SuiteRun, node_id: str) -> float:
    return max(SHORTEST_CPU, CPU_TIMES * _took(base, node_id))


def _took(base: SuiteRun, node_id: str) -> float:
    """Return what a test took on base, 0 for one that was not there or ran into its deadline."""
    test = base.tests.get(node_id)
    return 0.0 if test is None or test.hung else test.seconds
