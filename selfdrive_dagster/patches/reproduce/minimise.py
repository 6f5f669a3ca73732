"""Fewer entries in recorded lists and sets, as long as the crash stays the same.

Keys of mappings, attributes of objects and tuples are left whole: the code behind the crash may
need what the crash itself did not reach, and a test without it would refuse the right patch.
Texts are the work of `shrink`.
"""

import ast
from collections.abc import Iterator

import msgspec

from selfdrive_dagster.model import Diagnosis, Product, Sandbox, Way
from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.reproduce.draft import Draft, literals
from selfdrive_dagster.patches.reproduce.proving import judge, prove
from selfdrive_dagster.patches.text import Edit, Lines, apply_edits

MOST_VARIANTS = 16
MOST_ROUNDS = 8
FEW = 3
"""A list of so many entries may be a record: it stays."""

WAYS = (Way.CAPTURED_ARGUMENTS, Way.HTTP_REPLAY)
"""In a borrowed test the lists may be its author's."""


def minimise(draft: Draft, diagnosis: Diagnosis, product: Product, sandbox: Sandbox) -> Draft:
    """Return the draft with the shortest lists that reproduce; itself when none does shorter."""
    smallest = draft
    for _ in range(MOST_ROUNDS if draft.way in WAYS else 0):
        shorter = tuple(_shorter(smallest, draft.path, writing.line_width(product)))
        if not shorter:
            break
        proofs = judge(shorter, diagnosis, product, sandbox)
        holding = [one for one in shorter if proofs[one.path].node_ids]
        if not holding:
            break
        smallest = min(holding, key=lambda one: len(one.source))
    if smallest is draft:
        return draft
    small = msgspec.structs.replace(smallest, path=draft.path)
    return small if prove((small,), diagnosis, product, sandbox)[draft.path].confirmed else draft


def _shorter(draft: Draft, path: str, width: int) -> Iterator[Draft]:
    """Yield the draft with half of one list gone, then with single entries gone."""
    nodes = [
        one for one in ast.walk(ast.parse(draft.source)) if isinstance(one, ast.List | ast.Set)
    ]
    long = [one for one in nodes if len(one.elts) > FEW]
    pairs = [(node, kept) for node in long for kept in _halves(len(node.elts))]
    if all(len(node.elts) <= MOST_VARIANTS for node in long):
        pairs += [(node, kept) for node in long for kept in _without_one(len(node.elts))]
    for number, (node, kept) in enumerate(pairs[: 2 * MOST_VARIANTS]):
        yield _variant(draft, path.replace(".py", f"_{number}.py"), node, kept, width)


def _halves(length: int) -> Iterator[list[int]]:
    indexes = list(range(length))
    yield indexes[: length // 2]
    yield indexes[length // 2 :]


def _without_one(length: int) -> Iterator[list[int]]:
    for left_out in range(length):
        yield [index for index in range(length) if index != left_out]


def _variant(
    draft: Draft, path: str, node: ast.List | ast.Set, kept: list[int], width: int
) -> Draft:
    lines = Lines(draft.source)
    elements = [node.elts[index] for index in kept]
    made = ast.Set(elements) if isinstance(node, ast.Set) else ast.List(elements, ast.Load())
    line = lines.line(node.lineno)
    indent = len(line) - len(line.lstrip())
    shown = writing.block(made, indent, width, before=node.col_offset - indent, after=1)
    span = lines.span(node)
    source = apply_edits(draft.source, [Edit(span.start, span.stop, shown)])
    left = set(literals(ast.parse(source)))
    remaining = tuple(one for one in draft.production_values if one in left)
    return msgspec.structs.replace(draft, path=path, source=source, production_values=remaining)
