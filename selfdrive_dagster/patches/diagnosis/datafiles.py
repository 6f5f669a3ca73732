"""Recorded values that a data file of the product holds, word for word.

Such a value is no input: the product read it, and the fault may be in the file. A test that reads
it there too passes once the file is right, where a copy of the wrong value would fail for ever.

Belongs here: finding the file. Does not belong: how a value was rebuilt (`values`).
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.values import Import, Rebuilt, Value

FEWEST = 3
"""Entries of a mapping or list from which on it is no coincidence that a file holds the same."""

LARGEST = 200_000
MOST_FILES = 100
"""Characters of a file, and files, that are looked at."""


def from_file(value: Value, product: Product) -> Value:
    """Return a value as the reading of the product's file that holds it; itself where none does."""
    if not isinstance(value, Rebuilt) or not isinstance(value.node, ast.Dict | ast.List):
        return value
    try:
        recorded = ast.literal_eval(value.node)
    except ValueError:  # it holds objects: no JSON file does
        return value
    if len(recorded) < FEWEST:
        return value
    for path, held in _held(product):
        if held == recorded:
            text = f"json.loads(Path({path!r}).read_bytes())"
            return Rebuilt(
                node=ast.parse(text, mode="eval").body,
                imports=frozenset({Import("json"), Import("pathlib", "Path")}),
                notes=(*value.notes, f"the product holds this in {path}: it is read from there"),
            )
    return value


def _held(product: Product) -> Iterator[tuple[str, object]]:
    """Yield the JSON files below the product's source folders, with what each holds."""
    root = Path(product.root)
    found = sorted({file for folder in product.source for file in (root / folder).rglob("*.json")})
    own = [file.relative_to(root).as_posix() for file in found if not file.is_symlink()]
    for path in own[:MOST_FILES]:
        try:
            text = product.read(path)
            held = json.loads(text) if len(text) <= LARGEST else None
        except (OSError, ValueError):
            continue
        yield path, held
