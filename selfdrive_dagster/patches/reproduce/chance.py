"""The random numbers of the recorded crash, for drafts whose functions draw some.

Nobody recorded what was drawn, so a draft is tried with a few seeds, and the test states the one
that makes the crash again. Knows the module-level functions of `random` and `numpy.random`,
however they are imported. Generators that the product made itself, and the system's randomness
(`secrets`, `uuid4`), take no seed from here.
"""

import ast

import msgspec

from selfdrive_dagster.model import Way
from selfdrive_dagster.patches.diagnosis.frames import Placed
from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.reproduce.clock import called_in, first_test, importing
from selfdrive_dagster.patches.reproduce.draft import Draft
from selfdrive_dagster.patches.reproduce.pruning import CannotBorrowError, with_imports
from selfdrive_dagster.patches.syntax import Tree
from selfdrive_dagster.patches.values import Import

SEEDS = 8
SOURCES = ("random", "numpy.random")
OF_THEIR_OWN = frozenset({"Random", "SystemRandom", "Generator", "RandomState", "default_rng"})
"""What makes a generator with a seed of its own."""


def seeded(draft: Draft, tree: Tree, placed: tuple[Placed, ...]) -> tuple[Draft, ...]:
    """Return the draft once for each seed; as it is where nothing draws or no seed can be set."""
    inside = placed if draft.way is Way.HTTP_REPLAY else placed[: draft.target.depth]
    drawn = draws_of(tree, inside)
    tried = [_with_seed(draft, drawn, seed) for seed in range(SEEDS)] if drawn else []
    return tuple(one for one in tried if one is not None) or (draft,)


def draws_of(tree: Tree, placed: tuple[Placed, ...]) -> tuple[str, ...]:
    """Return the sources that the functions of a trace draw from, sorted."""
    called = {name.rpartition(".") for name in called_in(tree, placed)}
    return tuple(
        source
        for source in SOURCES
        if any(owner == source and name not in OF_THEIR_OWN for owner, _, name in called)
    )


def _with_seed(draft: Draft, drawn: tuple[str, ...], seed: int) -> Draft | None:
    """Write the seed as the first statements of a test; None where that cannot be."""
    try:
        source = with_imports(draft.source, frozenset(map(Import, drawn)))
    except CannotBorrowError:
        return None  # the test calls something else by that name
    if drawn == ("random",) and source != draft.source:
        source = importing(draft.source, "import random")
    test = first_test(ast.parse(source))
    if test is None:
        return None
    lines = source.split("\n")
    pad = " " * test.body[0].col_offset
    at = test.body[0].lineno - 1
    lines[at:at] = [f"{pad}{name}.seed({seed})" for name in drawn]
    note = f"random numbers are drawn from the seed {seed}"
    return msgspec.structs.replace(
        draft,
        path=draft.path.replace(".py", f"_seed{seed}.py"),
        source=writing.finished("\n".join(lines), frozenset(), (note,), writing.WIDTH),
        tried=f"{draft.tried}, with the random seed {seed}",
    )
