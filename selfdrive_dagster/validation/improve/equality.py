"""Equal answers: the same calls, recorded and changed a little, on base and patch.

An improvement may change nothing but time. So every answer counts, raised exceptions too, and the
arguments afterwards; an unknown answer is no equal one. Belongs here: asking both sides and
judging. Does not belong: producing answers (`harness/answers`).
"""

import re
from typing import Any

import msgspec

from selfdrive_dagster.model import Check, Ending, Job, Product, Ran, Sandbox
from selfdrive_dagster.patches.improve import Idea, Target, Workload

CALLS = 12
INPUTS = 40
DEADLINE_SECONDS = 5.0
SECONDS = 60.0
ENOUGH = 8
"""Equal answers below which nothing is shown."""
SHOWN = 2

HASHABLE = frozenset({"int", "str", "bytes", "bool", "float", "NoneType", "complex",
                      "datetime.date", "datetime.datetime", "datetime.timedelta",
                      "decimal.Decimal", "uuid.UUID",
                      "tuple", "frozenset", ""})  # fmt: skip
KEYS = frozenset({"int", "str", "bytes", "bool", "NoneType", "datetime.date"})
_WORDS = re.compile(r"[^\[\]|]+")


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What one side answered, by recorded call and input; `types` by name; "" in `missing`: all."""

    answers: dict[tuple[str, int], dict[str, Any]]
    types: dict[str, tuple[str, ...]]
    missing: str


def compare(
    idea: Idea,
    workload: Workload,
    covering: tuple[str, ...],
    product: Product,
    sandbox: Sandbox,
    *,
    seed: int,
) -> tuple[Check, Check]:
    """Ask both sides; return the checks `same_answers` and `assumptions`."""
    node_ids = (*dict.fromkeys(workload.node_ids), *covering)
    base = _ask(idea.target, {}, node_ids, workload, product, sandbox, seed)
    if base.missing:
        unknown = Check(name="same_answers", passed=None, says=f"on the base {base.missing}")
        return unknown, Check(name="assumptions", passed=None, says=unknown.says)
    patched = {idea.draft.path: idea.draft.source}
    patch = _ask(idea.target, patched, node_ids, workload, product, sandbox, seed)
    return judge_answers(base, patch), judge_assumptions(base, idea.target)


def _ask(
    target: Target,
    patched: dict[str, str],
    node_ids: tuple[str, ...],
    workload: Workload,
    product: Product,
    sandbox: Sandbox,
    seed: int,
) -> Answers:
    asked = {"path": target.path, "function": target.function, "watch": list(target.elements)}
    ran = sandbox.run(
        Job(
            program="answers",
            tree=product.root,
            python=product.python,
            import_roots=product.import_roots(),
            overlay={**workload.overlay, **patched},
            seconds=3 * SECONDS,
            spec={
                "node_ids": list(node_ids),
                "args": list(product.tests),
                "targets": [asked],
                "calls": CALLS,
                "inputs": INPUTS,
                "seed": seed,
                "deadline_seconds": DEADLINE_SECONDS,
                "seconds": SECONDS,
            },
        )
    )
    return read_answers(ran)


def read_answers(ran: Ran) -> Answers:
    """Return what the study told, and why it is not all."""
    answers, types = {}, dict[str, list[str]]()
    missing = "" if ran.ending is Ending.EXITED else f"the study {ran.ending.value}"
    if not missing and not any(line.get("kind") == "end" for line in ran.lines):
        missing = f"the study exited with {ran.status} before its end"
    for line in ran.lines:
        match line:
            case {"kind": "answer", "key": str(key), "input": int(number)}:
                kept = ("how", "value", "after", "type", "again", "before", "shown")
                answers[key, number] = {name: line[name] for name in kept if name in line}
            case {"kind": "types", "name": str(name), "types": str(kinds)}:
                types.setdefault(name, []).append(kinds)
            case {"kind": "lost"}:
                missing = missing or "a call could not be made again"
            case {"kind": "test", "outcome": outcome, "id": test} if outcome != "passed":
                missing = missing or f"{test} was {outcome}"
    told = {name: tuple(kinds) for name, kinds in types.items()}
    return Answers(answers=answers, types=told, missing=missing)


def judge_answers(base: Answers, patch: Answers) -> Check:
    """Return the check `same_answers`: each input that the base answered, answered alike."""
    if patch.missing:
        says = f"on the patch {patch.missing}"
        return Check(name="same_answers", passed=None, says=says)
    told = {key: one for key, one in base.answers.items() if one["how"] in ("returned", "raised")}
    stable = {key: one for key, one in told.items() if one["again"]}
    equal, differing, unknown = 0, [], 0
    for key, one in stable.items():
        other = patch.answers.get(key)
        if other is None or other["how"] not in ("returned", "raised"):
            unknown += 1
        elif _answer(one) == _answer(other) and other["again"]:
            equal += 1
        else:
            differing.append(f"on ({one['shown']}) the base {_tell(one)}, the patch {_tell(other)}")
    calls = len({key for key, number in stable if number == 0})
    numbers = {"equal": equal, "recorded_calls": calls, "differing": len(differing),
               "unstable_on_base": len(told) - len(stable), "unanswered": unknown}  # fmt: skip
    if differing:
        says = "; ".join(differing[:SHOWN])
        return Check(name="same_answers", passed=False, says=says, numbers=numbers)
    if unknown or equal < ENOUGH or not calls:
        says = f"{equal} inputs were answered alike, {unknown} were not answered by the patch"
        return Check(name="same_answers", passed=None, says=says, numbers=numbers)
    says = f"base and patch answer {equal} inputs alike, made from {calls} recorded calls"
    return Check(name="same_answers", passed=True, says=says, numbers=numbers)


def judge_assumptions(base: Answers, target: Target) -> Check:
    """Return the check `assumptions`: what recorded calls show of types and of purity."""
    faults, unknown = [], []
    for names, allowed in ((target.elements, HASHABLE), (target.keys, KEYS)):
        for name in names:
            kinds = base.types.get(name)
            if kinds is None:
                unknown.append(f"no call shows what {name} holds")
                continue
            words = {word for kind in kinds for word in _WORDS.findall(kind)} - _holders(
                name, target
            )
            faults += [f"{name} holds {word}" for word in sorted(words - allowed)]
    if target.deterministic:
        recorded = [one for one in base.answers.values() if one["how"] == "returned"]
        faults += ["a call answered otherwise when it was made again"] * any(
            not one["again"] for one in recorded
        )
        if target.keys:
            faults += ["a call changes its arguments"] * any(
                one["before"] != one["after"] for one in recorded
            )
        unknown += ["no call of it returned"] * (not recorded)
    if faults:
        return Check(name="assumptions", passed=False, says="; ".join(faults))
    if unknown:
        return Check(name="assumptions", passed=None, says="; ".join(unknown))
    says = "recorded calls show nothing but plain values, and the same answer each time"
    return Check(name="assumptions", passed=True, says=says)


def _holders(name: str, target: Target) -> set[str]:
    """Return the container's own name where the elements of an argument were asked for."""
    return {"list", "tuple", "set"} if name in target.elements else set()


def _answer(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["how"], one.get("value"), one.get("after"), one.get("type")


def _tell(one: dict[str, Any]) -> str:
    if one["how"] == "raised":
        return f"raised {one.get('type')}"
    same = "" if one["again"] else " and something else when asked again"
    return f"returned {str(one.get('value'))[:120]}{same}"
