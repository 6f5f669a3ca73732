"""The neighbour check: wherever the base did not fail, base and patch must agree.

A crash reproducer and an old suite accept nonsense; on one published bug twelve of twelve
guards passed both, eleven of them wrong. So base and patch answer the same inputs: the
product's own recorded calls and small changes of them (differential testing).

An experiment that died is not one that agreed: what it would have shown is unknown, so nobody
passes. Where one variant was at work when the sandbox was killed, that variant differs from the
base, and the others are asked again without it.

Judging stands here; producing the answers is the work of `harness/neighbours`.
"""

from collections import Counter
from typing import Any

import msgspec

from selfdrive_dagster.model import (
    Candidate,
    Check,
    Ending,
    Job,
    Product,
    Ran,
    Reproducer,
    Sandbox,
    Way,
)
from selfdrive_dagster.patches.syntax import named_function
from selfdrive_dagster.validation.checks import Oracles

CALLS = 16
CALLS_OF_PRODUCTION = 8
INPUTS = 120
DEADLINE_SECONDS = 3.0
SECONDS = 60.0
SHOWN = 3
ENOUGH = 8
"""Fewer comparable answers than this prove nothing either way."""
OF_BAD_VALUES = frozenset(("ValueError", "OverflowError", "OSError"))
"""Raised in one function, these are one failure: a value it cannot take, more or less of it."""
MOST_DEATHS = 3
"""Variants that may end the sandbox before the others are no longer asked."""

Answer = dict[str, Any]


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """One input and what base and variants answered. `recorded` marks an unchanged call.

    `changed` shows each argument that was changed, none in a recorded call.
    """

    test: str
    shown: str
    recorded: bool
    base: Answer
    variants: dict[str, Answer]
    changed: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All inputs that base and variants of one file answered side by side.

    `fatal` are variants that ended the sandbox; `unfinished` says why answers are missing, ""
    when none are.
    """

    neighbours: tuple[Neighbour, ...]
    incomparable: frozenset[str]
    reproducer: Reproducer
    fatal: frozenset[str] = frozenset()
    unfinished: str = ""

    @property
    def fair(self) -> tuple[Neighbour, ...]:
        """The inputs on which repairs may be held against each other.

        Where the base fails as reported nothing tells what is right. That a value of an argument
        makes it raise mostly elsewhere does tell that no caller gives this value.
        """
        tally = Counter[str]()
        reported = [_is_reported(each.base, self.reproducer) for each in self.neighbours]
        for each, as_reported in zip(self.neighbours, reported, strict=True):
            if not as_reported and each.base["how"] in ("returned", "raised"):
                sign = 1 if each.base["how"] == "returned" else -1
                tally.update(dict.fromkeys(each.changed, sign))
        return tuple(
            each
            for each, as_reported in zip(self.neighbours, reported, strict=True)
            if not (as_reported and any(tally[value] < 0 for value in each.changed))
        )

    def lacks(self, name: str) -> bool:
        """Say whether a candidate could not answer at all."""
        return name in self.incomparable | self.fatal


def compare(
    candidates: tuple[Candidate, ...],
    sources: dict[str, str],
    reproducer: Reproducer,
    node_ids: tuple[str, ...],
    product: Product,
    sandbox: Sandbox,
    *,
    seed: int,
    oracles: Oracles | None = None,
) -> Comparison:
    """Let base and candidates of one file answer the same inputs.

    `sources` maps a candidate's id to the file's new text; `node_ids` are passing tests that
    reach the changed code, nearest first. Some may be of the `oracles`.
    """
    fatal: frozenset[str] = frozenset()
    while True:
        asked = tuple(candidate for candidate in candidates if candidate.id not in fatal)
        job = _job(asked, sources, reproducer, node_ids, product, seed, oracles)
        ran = sandbox.run(job)
        culprit = _culprit(ran, {candidate.id for candidate in asked})
        fatal |= culprit
        if not culprit or len(fatal) >= min(MOST_DEATHS, len(candidates)):
            return _comparison(ran, reproducer, fatal)


def _job(
    candidates: tuple[Candidate, ...],
    sources: dict[str, str],
    reproducer: Reproducer,
    node_ids: tuple[str, ...],
    product: Product,
    seed: int,
    oracles: Oracles | None,
) -> Job:
    overlay = {} if reproducer.source is None else {reproducer.path: reproducer.source}
    overlay |= {oracles.path: oracles.source} if oracles else {}
    return Job(
        program="neighbours",
        tree=product.root,
        python=product.python,
        import_roots=product.import_roots(),
        overlay=dict(overlay),
        seconds=SECONDS + 30,
        spec={
            "path": candidates[0].path,
            "variants": [{"id": c.id, "source": sources[c.id]} for c in candidates],
            "node_ids": [*reproducer.node_ids, *node_ids],
            "failing": len(reproducer.node_ids),
            "args": list(product.tests),
            "exception_type": reproducer.exception_type.rpartition(".")[2],
            "calls": CALLS + (CALLS_OF_PRODUCTION if oracles else 0),
            "inputs": INPUTS,
            "seed": seed,
            "deadline_seconds": DEADLINE_SECONDS,
            "seconds": SECONDS,
        },
    )


def _culprit(ran: Ran, asked: set[str]) -> frozenset[str]:
    """Return the variant that was answering when the sandbox was killed; none if the base was."""
    if ran.ending is not Ending.KILLED:
        return frozenset()
    at_work = [str(line.get("id")) for line in ran.lines if line.get("kind") == "asking"]
    return frozenset(at_work[-1:]) & asked


def _comparison(ran: Ran, reproducer: Reproducer, fatal: frozenset[str]) -> Comparison:
    lines = ran.lines
    return Comparison(
        neighbours=tuple(_neighbour(line) for line in lines if line.get("kind") == "neighbour"),
        incomparable=frozenset(str(line["id"]) for line in lines if line.get("kind") == "cold"),
        reproducer=reproducer,
        fatal=fatal,
        unfinished=_unfinished(ran),
    )


def _unfinished(ran: Ran) -> str:
    """Say why answers are missing, "" when the experiment came to its end with none lost."""
    lost = sum(line.get("kind") == "lost" for line in ran.lines)
    if ran.ending is not Ending.EXITED:
        return f"the experiment {ran.ending.value} before its end"
    if not any(line.get("kind") == "end" for line in ran.lines):
        return f"the experiment exited with {ran.status} before its end"
    return f"{lost} of its calls died before they were answered" if lost else ""


def judge(comparison: Comparison, candidate: Candidate) -> Check:
    """Return the check `neighbours` of one candidate.

    Where the base failed as reported, the patch is free. Where it raised something else, the
    patch must raise the same type. Where it returned, value and changed arguments must be
    equal. In the failing-test track only unchanged calls of passing tests must agree: there
    the patch is meant to change values. Where no passing test calls it, the failing test is all the
    evidence there is; the confidence says how little that is.
    """
    if candidate.id in comparison.incomparable:
        says = "the change reaches beyond functions, so base and patch cannot run side by side"
        return Check(name="neighbours", passed=None, says=says)
    if candidate.id in comparison.fatal:
        says = "the sandbox was killed while the patch answered, and not while the base did"
        return Check(name="neighbours", passed=False, says=says)
    by_test = comparison.reproducer.way is Way.FAILING_TEST
    agreed, unsettled, differing, skipped = 0, 0, [], Counter[str]()
    for neighbour in comparison.neighbours:
        answer = neighbour.variants.get(candidate.id, {"how": "unstable"})
        reason = _not_comparable(neighbour, answer, comparison.reproducer)
        if by_test and not reason and not _is_passing_call(neighbour, comparison.reproducer):
            reason = "the failing test asks for another value"
        if reason:
            skipped[reason] += 1
        elif answer["how"] == "unsettled":
            unsettled += 1
        elif _agree(neighbour.base, answer):
            agreed += 1
        else:
            differing.append(_tell(neighbour, answer))
    numbers = {"agreed": agreed, "differed": len(differing), "skipped": dict(skipped)}
    if differing:
        says = f"the patch changes more than the failure: {'; '.join(differing[:SHOWN])}"
        return Check(name="neighbours", passed=False, says=says, numbers=numbers)
    unknown = comparison.unfinished
    if unsettled:
        unknown = f"on {_inputs(unsettled)} they differed once, and no time was left to ask again"
    if unknown:
        says = f"{unknown}; {agreed} answers until then agree"
        return Check(name="neighbours", passed=None, says=says, numbers=numbers)
    if by_test and not agreed:
        says = "no passing test calls it in a way that could be compared"
        return Check(name="neighbours", passed=True, says=says, numbers=numbers)
    if not by_test and agreed < ENOUGH:
        says = f"only {_inputs(agreed)} could be compared: too few to know"
        return Check(name="neighbours", passed=None, says=says, numbers=numbers)
    says = f"base and patch agree on all {agreed} inputs on which the base did not fail"
    return Check(name="neighbours", passed=True, says=says, numbers=numbers)


def _inputs(count: int) -> str:
    return f"{count} input{'s' * (count != 1)}"


def behaviours(comparison: Comparison, candidates: tuple[Candidate, ...]) -> list[list[Candidate]]:
    """Group candidates that answered every input alike, the largest group first.

    An input that one of them left without a clear answer tells nothing of any.
    """
    told = [
        each
        for each in comparison.fair
        if all(each.variants.get(one.id, {}).get("how") in CLEAR for one in candidates)
    ]
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        answers = [each.variants[candidate.id] for each in told]
        groups.setdefault(msgspec.json.encode(answers).decode(), []).append(candidate)
    return sorted(groups.values(), key=len, reverse=True)


def telling_input(comparison: Comparison, one: str, other: str) -> str:
    """Return an input on which two candidates differ, with both answers; "" if none.

    Inputs that a test made come before those that we made up.
    """
    differing = [
        each
        for each in comparison.fair
        if _clear(each, one) and _clear(each, other) and each.variants[one] != each.variants[other]
    ]
    for each in sorted(differing, key=lambda each: not each.recorded):
        first, second = _answer_text(each.variants[one]), _answer_text(each.variants[other])
        return f"on ({each.shown}) this one {first}, another {second}"
    return ""


def says_more(comparison: Comparison, name: str) -> bool:
    """Say whether a candidate answers otherwise where the base answered, though the base raises.

    What raises asks for something else only where it does. Of a base that gives wrong answers
    nobody knows where they end.
    """
    if not any(_is_reported(each.base, comparison.reproducer) for each in comparison.neighbours):
        return False
    answered = [each for each in comparison.fair if each.base["how"] == "returned"]
    return any(_clear(each, name) and each.variants[name] != each.base for each in answered)


CLEAR = ("returned", "raised", "hung", "died")
"""Answers that a candidate gave; any other is none."""


def _clear(neighbour: Neighbour, name: str) -> bool:
    return neighbour.variants.get(name, {}).get("how") in CLEAR


def _neighbour(line: dict[str, Any]) -> Neighbour:
    return Neighbour(
        test=str(line["test"]),
        shown=str(line["shown"]),
        recorded=line["input"] == 0,
        base=dict(line["base"]),
        variants={str(k): dict(v) for k, v in line["variants"].items()},
        changed=tuple(line["changed"]),
    )


def _not_comparable(neighbour: Neighbour, answer: Answer, reproducer: Reproducer) -> str:
    base = neighbour.base
    if base["how"] not in ("returned", "raised"):
        return f"the base was {base['how']}"
    if answer["how"] in ("unstable", "unasked"):
        return "not answered"
    if _is_reported(base, reproducer):
        return "the base failed as reported"
    if str(base.get("value", "")).startswith("function:"):
        return "the answer is a function, and two of them cannot be compared"
    return ""


def _is_reported(base: Answer, reproducer: Reproducer) -> bool:
    where = f"{reproducer.target_path}:{reproducer.function}"
    short = reproducer.exception_type.rpartition(".")[2]
    same_place = named_function(str(base.get("where"))) == where or not reproducer.function
    raised = str(base.get("type", "")).rpartition(".")[2] if base["how"] == "raised" else ""
    kin = bool(reproducer.function) and {short, raised} <= OF_BAD_VALUES
    return bool(raised) and same_place and (raised == short or kin)


def _is_passing_call(neighbour: Neighbour, reproducer: Reproducer) -> bool:
    return neighbour.recorded and neighbour.test not in reproducer.node_ids


def _agree(base: Answer, answer: Answer) -> bool:
    if base["how"] == "raised":
        return (answer["how"], answer.get("type")) == ("raised", base["type"])
    return base == answer


def _tell(neighbour: Neighbour, answer: Answer) -> str:
    return (
        f"on ({neighbour.shown}) the base {_answer_text(neighbour.base)}, "
        f"the patch {_answer_text(answer)}"
    )


def _answer_text(answer: Answer) -> str:
    if answer.get("how") == "returned":
        return f"returned {str(answer.get('value'))[:120]}"
    if answer.get("how") == "raised":
        return f"raised {answer.get('type')}"
    return str(answer.get("how", "did not answer"))
