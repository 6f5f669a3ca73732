"""Is a patched file the original again? Equal text or syntax; else equal answers.

The product's tests run on the original, and wherever they enter a function that the patch changes,
original and patch answer the same recorded calls and small changes of them.
"""

import ast
from collections.abc import Sequence

import msgspec

from selfdrive_dagster.model import Job, Product, Sandbox

CALLS, INPUTS, SECONDS = 40, 60, 60.0
ENOUGH = 20
"""Fewer answers than this tell nothing."""


class Equality(msgspec.Struct, frozen=True, kw_only=True):
    """`how` is text, syntax, answers, different, or unknown; `asked` counts inputs."""

    how: str
    asked: int = 0
    differing: str = ""

    @property
    def right(self) -> bool:
        """Say whether the patch is the original as far as can be told."""
        return self.how in ("text", "syntax", "answers")


def compare(
    original: Product, path: str, patched: str, node_ids: Sequence[str], box: Sandbox
) -> Equality:
    """Hold a patched file to the original's; `node_ids` are passing tests that reach it."""
    wanted = original.read(path)
    if patched == wanted:
        return Equality(how="text")
    if ast.dump(ast.parse(patched)) == ast.dump(ast.parse(wanted)):
        return Equality(how="syntax")
    job = Job(
        program="neighbours",
        tree=original.root,
        python=original.python,
        import_roots=original.import_roots(),
        seconds=SECONDS + 30,
        spec={
            "path": path,
            "variants": [{"id": "patch", "source": patched}],
            "node_ids": list(node_ids),
            "failing": 0,
            "args": list(original.tests),
            "exception_type": "",
            "calls": CALLS,
            "inputs": INPUTS,
            "seed": 1,
            "deadline_seconds": 3.0,
            "seconds": SECONDS,
        },
    )
    told = [line for line in box.run(job).lines if line.get("kind") == "neighbour"]
    sure = [one for one in told if one["base"].get("how") in ("returned", "raised")]
    other = [one for one in sure if one["variants"].get("patch") != one["base"]]
    clear = [one for one in other if one["variants"]["patch"].get("how") in KNOWN]
    if clear:
        return Equality(how="different", asked=len(sure), differing=str(clear[0]["shown"])[:160])
    if len(sure) - len(other) < ENOUGH:
        return Equality(how="unknown", asked=len(sure) - len(other))
    return Equality(how="answers", asked=len(sure) - len(other))


KNOWN = ("returned", "raised", "hung", "died")
"""Answers that a patch gave; any other is none."""
