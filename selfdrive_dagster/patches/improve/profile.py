"""Where the time of a workload goes: a profile that the sandbox takes while its tests run.

Belongs here: asking for it and reading it. Does not belong: what could be faster.
"""

from typing import Any

from selfdrive_dagster.model import Ending, Job, Product, Ran, Sandbox
from selfdrive_dagster.patches.improve.records import Hot, Profile, Workload

SECONDS = 20.0
SAMPLES = 400
FEWEST = 40
"""Samples below which shares mean nothing."""
SHARE = 0.05
"""Of all samples; a function below that cannot make anything noticeably faster."""


def profile(workload: Workload, product: Product, sandbox: Sandbox) -> Profile:
    """Run a workload round after round until there are samples enough, 20 s at most."""
    ran = sandbox.run(
        Job(
            program="hot",
            tree=product.root,
            python=product.python,
            import_roots=product.import_roots(),
            overlay=workload.overlay,
            seconds=3 * SECONDS + 60,
            spec={
                "node_ids": list(dict.fromkeys(workload.node_ids)),
                "args": list(product.tests),
                "sources": list(product.source) or ["."],
                "seconds": SECONDS,
                "samples": SAMPLES,
            },
        )
    )
    return read_profile(ran)


def read_profile(ran: Ran) -> Profile:
    """Return the functions that take a share worth looking at, the hottest first."""
    ends = [line for line in ran.lines if line.get("kind") == "end"]
    if ran.ending is not Ending.EXITED or not ends:
        said = f"the profile {ran.ending.value} with {ran.status} before its end"
        return Profile(hot=(), samples=0, missing=said)
    samples = int(ends[-1]["samples"])
    bad = [
        line for line in ran.lines if line.get("kind") == "outcome" and line["outcome"] != "passed"
    ]
    if bad:
        says = f"{bad[0]['id']} was {bad[0]['outcome']} while it was profiled"
        return Profile(hot=(), samples=samples, missing=says)
    if samples < FEWEST:
        says = f"only {samples} samples fell into the product's own code, {FEWEST} are needed"
        return Profile(hot=(), samples=samples, missing=says)
    found = [_hot(line, samples) for line in ran.lines if line.get("kind") == "hot"]
    worth = [one for one in found if one.total >= SHARE]
    worth.sort(key=lambda one: (-one.own, -one.total, one.path, one.function))
    return Profile(hot=tuple(worth), samples=samples)


def _hot(line: dict[str, Any], samples: int) -> Hot:
    return Hot(
        path=str(line["path"]),
        function=str(line["function"]),
        own=round(line["own"] / samples, 4),
        total=round(line["total"] / samples, 4),
        lines={int(at): round(n / samples, 4) for at, n in line["lines"].items()},
    )
