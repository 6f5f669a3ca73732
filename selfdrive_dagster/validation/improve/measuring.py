"""Measuring the gain: the sandbox times base and patch in turn, the check says what it means."""

import msgspec

from selfdrive_dagster.model import Check, Ending, Job, Product, Ran, Sandbox
from selfdrive_dagster.patches.improve import Idea, Workload
from selfdrive_dagster.validation.improve.gain import FEWEST, LEAST, Gain, Pair, gain_of

PAIRS = 30
SECONDS = 60.0


def measure(
    idea: Idea, workload: Workload, product: Product, sandbox: Sandbox
) -> tuple[Check, Gain | None]:
    """Time the workload on both sides; the check passes only for a gain beyond doubt."""
    ran = sandbox.run(
        Job(
            program="speed",
            tree=product.root,
            python=product.python,
            import_roots=product.import_roots(),
            overlay=workload.overlay,
            seconds=4 * SECONDS,
            spec={
                "node_ids": list(workload.node_ids),
                "args": list(product.tests),
                "patched": {idea.draft.path: idea.draft.source},
                "pairs": PAIRS,
                "least": FEWEST,
                "seconds": SECONDS,
            },
        )
    )
    return judge_gain(ran)


def judge_gain(ran: Ran) -> tuple[Check, Gain | None]:
    """Return the check `gain` of what was timed."""
    broken = next((line for line in ran.lines if line.get("kind") == "broken"), None)
    if broken is not None:
        says = f"the workload {broken['outcome']} on the {broken['side']} while it was timed"
        return Check(name="gain", passed=None, says=says), None
    pairs = [Pair(line["base"], line["patch"]) for line in ran.lines if line.get("kind") == "pair"]
    gain = gain_of(pairs)
    if gain is None:
        ended = "" if ran.ending is Ending.EXITED else f"; the timing {ran.ending.value}"
        says = f"{len(pairs)} pairs were timed, {FEWEST} are needed to know{ended}"
        return Check(name="gain", passed=None, says=says), None
    numbers = {**msgspec.to_builtins(gain), "least": LEAST}
    if gain.high <= 1 - LEAST:
        return Check(name="gain", passed=True, says=gain.says, numbers=numbers), gain
    says = f"no gain of {LEAST:.0%} is beyond doubt: {gain.says}"
    return Check(name="gain", passed=False, says=says, numbers=numbers), gain
