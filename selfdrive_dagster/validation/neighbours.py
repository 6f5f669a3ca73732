"""The neighbour check: wherever the base did not fail, base and patch must agree.

A crash reproducer and an old suite accept nonsense; on one published bug twelve of twelve
guards passed both, eleven of them wrong. So base and patch answer the same inputs: the
product's own recorded calls and small changes of them (differential testing).

Judging stands here; producing the answers is the work of `harness/neighbours`.
"""

from collections import Counter
from typing import Any

import msgspec

from selfdrive_dagster.model import Candidate, Check, Job, Product, Reproducer, Sandbox, Way
from selfdrive_dagster.patches.syntax import named_function

CALLS = 12
INPUTS = 120
DEADLINE_SECONDS = 3.0
SECONDS = 60.0
SHOWN = 3
ENOUGH = 8
"""Fewer comparable answers than this prove nothing either way."""

Answer = dict[str, Any]


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """One input and what base and variants answered. `recorded` marks an unchanged call."""

    test: str
    shown: str
    recorded: bool
    base: Answer
    variants: dict[str, Answer]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All inputs that base and variants of one file answered side by side."""

    neighbours: tuple[Neighbour, ...]
    incomparable: frozenset[str]
    reproducer: Reproducer


def compare(
    candidates: tuple[Candidate, ...],
    sources: dict[str, str],
    reproducer: Reproducer,
    node_ids: tuple[str, ...],
    product: Product,
    sandbox: Sandbox,
    *,
    seed: int,
) -> Comparison:
    """Let base and candidates of one file answer the same inputs.

    `sources` maps a candidate's id to the file's new text; `node_ids` are passing tests that
    reach the changed code, nearest first.
    """
    overlay = {} if reproducer.source is None else {reproducer.path: reproducer.source}
    job = Job(
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
            "args": list(product.tests),
            "exception_type": reproducer.exception_type.rpartition(".")[2],
            "calls": CALLS,
            "inputs": INPUTS,
            "seed": seed,
            "deadline_seconds": DEADLINE_SECONDS,
            "seconds": SECONDS,
        },
    )
    lines = sandbox.run(job).lines
    return Comparison(
        neighbours=tuple(_neighbour(line) for line in lines if line.get("kind") == "neighbour"),
        incomparable=frozenset(str(line["id"]) for line in lines if line.get("kind") == "cold"),
        reproducer=reproducer,
    )


def judge(comparison: Comparison, candidate: Candidate) -> Check:
    """Return the check `neighbours` of one candidate.

    Where the base failed as reported, the patch is free. Where it raised something else, the
    patch must raise the same type. Where it returned, value and changed arguments must be
    equal. In the failing-test track only unchanged calls of passing tests must agree: there
    the patch is meant to change values.
    """
    if candidate.id in comparison.incomparable:
        says = "the change reaches beyond functions, so base and patch cannot run side by side"
        return Check(name="neighbours", passed=None, says=says)
    by_test = comparison.reproducer.way is Way.FAILING_TEST
    agreed, differing, skipped = 0, [], Counter[str]()
    for neighbour in comparison.neighbours:
        answer = neighbour.variants.get(candidate.id, {"how": "unstable"})
        reason = _not_comparable(neighbour, answer, comparison.reproducer)
        if by_test and not reason and not _is_passing_call(neighbour, comparison.reproducer):
            reason = "the failing test asks for another value"
        if reason:
            skipped[reason] += 1
        elif _agree(neighbour.base, answer):
            agreed += 1
        else:
            differing.append(_tell(neighbour, answer))
    numbers = {"agreed": agreed, "differed": len(differing), "skipped": dict(skipped)}
    if differing:
        says = f"the patch changes more than the failure: {'; '.join(differing[:SHOWN])}"
        return Check(name="neighbours", passed=False, says=says, numbers=numbers)
    if agreed < (1 if by_test else ENOUGH):
        says = f"only {agreed} inputs could be compared: too few to know"
        return Check(name="neighbours", passed=None, says=says, numbers=numbers)
    says = f"base and patch agree on all {agreed} inputs on which the base did not fail"
    return Check(name="neighbours", passed=True, says=says, numbers=numbers)


def clusters(comparison: Comparison, candidates: tuple[Candidate, ...]) -> list[list[str]]:
    """Group candidates that answered every input alike, the largest group first."""
    groups: dict[str, list[str]] = {}
    for candidate in candidates:
        answers = [n.variants.get(candidate.id) for n in comparison.neighbours]
        groups.setdefault(msgspec.json.encode(answers).decode(), []).append(candidate.id)
    return sorted(groups.values(), key=lambda ids: -len(ids))


def telling_input(comparison: Comparison, one: str, other: str) -> str:
    """Return an input on which two candidates differ, with both answers; "" if none."""
    for neighbour in comparison.neighbours:
        first, second = neighbour.variants.get(one, {}), neighbour.variants.get(other, {})
        if first != second:
            return f"{neighbour.shown}: {_answer_text(first)} or {_answer_text(second)}"
    return ""


def _neighbour(line: dict[str, Any]) -> Neighbour:
    return Neighbour(
        test=str(line["test"]),
        shown=str(line["shown"]),
        recorded=line["input"] == 0,
        base=dict(line["base"]),
        variants={str(k): dict(v) for k, v in line["variants"].items()},
    )


def _not_comparable(neighbour: Neighbour, answer: Answer, reproducer: Reproducer) -> str:
    base = neighbour.base
    if base["how"] in ("hung", "unstable"):
        return f"the base was {base['how']}"
    if answer["how"] == "unstable":
        return "not answered"
    if base["how"] == "raised" and _is_reported(base, reproducer):
        return "the base failed as reported"
    if str(base.get("value", "")).startswith("function:"):
        return "the answer is a function, and two of them cannot be compared"
    return ""


def _is_reported(base: Answer, reproducer: Reproducer) -> bool:
    where = f"{reproducer.target_path}:{reproducer.function}"
    short = reproducer.exception_type.rpartition(".")[2]
    same_place = named_function(str(base.get("where"))) == where or not reproducer.function
    return same_place and str(base.get("type", "")).rpartition(".")[2] == short


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
