"""Try the drafts of a wave in forks, in one sandbox or in two side by side.

Each *lane* is a sandbox of its own, so that two candidates that run at once share no file, port
or process. Answers behind the last of those that are enough are forgotten: the same wave gets the
same answers, however many lanes there are.

Belongs here: jobs, deadlines, and which tests run. Does not belong: which drafts, and what a
survivor is worth (`search`).
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import msgspec

from selfdrive_dagster.model import Ending, Job, Product, Progress, Ran, Reproducer, Sandbox, silent
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.pairs import Partial, partial
from selfdrive_dagster.patches.reach import Reach
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.text import shared, shared_end
from selfdrive_dagster.patches.waves import Wave

LANES = 2
WORTH_A_LANE = 8.0
"""Seconds of trials from which on a second sandbox is worth its start, reckoned by what the failing
test took on base, where it was traced and its failure told at length: a multiple of the truth."""

LEAST_FOR_LANES = 60
"""Drafts from which on it is, where nobody knows how long the failing test takes."""

TRIAL_SECONDS = 0.003
"""What a trial takes beside its test, most being refused in a screening."""

STEPS = (0.03, 0.3, 3.0)
"""Seconds that part cheap tests from dear ones."""

TOLD = 50

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
    """What is known of a wave so far, by the number of each draft: its outcome, what ended it,
    and whether it was left to the end."""

    outcomes: dict[int, str] = {}
    held: int = 0
    by: dict[int, str] = {}
    late: set[int] = set()


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
    reproducer = _cheapest_first(reproducer, base)
    lanes = _lanes(wave, reproducer, base)
    told, turn = Heard(), Lock()

    def hear(line: dict[str, Any]) -> None:
        if line.get("kind") != "trial":
            return
        with turn:
            _keep(told, line, len(wave.drafts), progress)

    jobs = [
        _job(wave, range(lane, len(wave.drafts), lanes), seconds, reproducer, base, product)
        for lane in range(lanes)
    ]  # fmt: skip
    with ThreadPoolExecutor(lanes) as pool:
        ended = list(pool.map(lambda job: sandbox.run(job, hear), jobs))
    _forget(told, wave.enough)
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


def _lanes(wave: Wave, reproducer: Reproducer, base: SuiteRun) -> int:
    """Return how many sandboxes to start: one where its start takes as long as all the trials."""
    known = [base.tests[one] for one in reproducer.node_ids if one in base.tests]
    if not known:
        return LANES if len(wave.drafts) >= LEAST_FOR_LANES else 1
    quickest = min(test.seconds for test in known)
    return LANES if len(wave.drafts) * (quickest + TRIAL_SECONDS) > WORTH_A_LANE else 1


def _cheapest_first(reproducer: Reproducer, base: SuiteRun) -> Reproducer:
    """Put the failing tests into the order of magnitude of what they took on base: no finer, so
    that two runs come to the same order. One that hung is the dearest."""

    def magnitude(node_id: str) -> int:
        test = base.tests.get(node_id)
        if test is None:
            return 0
        return len(STEPS) if test.hung else sum(test.seconds > step for step in STEPS)

    ordered = tuple(sorted(reproducer.node_ids, key=magnitude))
    return msgspec.structs.replace(reproducer, node_ids=ordered)


def _forget(told: Heard, enough: int) -> None:
    """Drop what one lane would not have told: what comes after enough, and what came late then."""
    soon = sorted(number for number in told.outcomes if number not in told.late)
    held = [number for number in soon if told.outcomes[number] == "plausible"]
    if 0 < enough <= len(held):
        last = held[enough - 1]
        told.outcomes = {n: told.outcomes[n] for n in soon if n <= last}


def _keep(told: Heard, line: dict[str, Any], drafts: int, progress: Progress) -> None:
    number, outcome = str(line.get("id")), str(line.get("outcome"))
    if not number.isdecimal() or int(number) >= drafts:
        return
    told.outcomes[int(number)] = outcome
    told.by[int(number)] = str(line.get("by", ""))
    told.late |= {int(number)} if line.get("late") else set()
    if outcome == "plausible":
        told.held += 1
        if told.held == 1:
            progress(f"candidate {int(number) + 1} is plausible")
    if len(told.outcomes) % TOLD == 0:
        progress(f"tried {len(told.outcomes)} of {drafts} candidates")


def _job(
    wave: Wave,
    numbers: range,
    seconds: float,
    reproducer: Reproducer,
    base: SuiteRun,
    product: Product,
) -> Job:
    paths = {draft.path for draft in wave.drafts}
    texts = {path: product.read(path) for path in paths if product.has(path)}
    reach = Reach(texts, reproducer.node_ids, base)
    suite = reach.suite
    changes = [
        {"id": str(number), **change_of(draft.path, texts[draft.path], draft.source)}
        for number in numbers
        for draft in (wave.drafts[number],)
    ]
    return Job(
        program="trial",
        tree=product.root,
        python=product.python,
        import_roots=product.import_roots(),
        overlay={} if reproducer.source is None else {reproducer.path: reproducer.source},
        seconds=seconds,
        spec={
            "candidates": [{**change, "group": reach.group_of(change)} for change in changes],
            "targets": list(reproducer.node_ids),
            "suite": list(suite),
            "groups": reach.groups,
            "args": list(product.tests),
            "deadline_seconds": _deadline(base),
            "cpu_seconds": {one: _cpu(base, one) for one in (*reproducer.node_ids, *suite)},
            "stop_after": wave.enough,
        },
    )


def change_of(path: str, old: str, new: str) -> dict[str, Any]:
    """Return a candidate as trials read it: from `start` to `stop` its file's characters become
    `text`."""
    start = shared(old, new)
    tail = shared_end(old, new, start)
    text = new[start : len(new) - tail]
    return {"path": path, "start": start, "stop": len(old) - tail, "text": text}


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
