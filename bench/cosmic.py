"""List the mutants that cosmic-ray can make of some files, or make some of them.

Runs in an environment of its own that has cosmic-ray. Nobody here wrote its operators, so nobody
tuned a template to them. `python cosmic.py list ROOT FILE...` prints a line of JSON for each place
that an operator would change, without its text, for making them all takes long;
`python cosmic.py make ROOT` reads such lines and prints those that compile, with the file's text.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

WANT_ARGUMENTS = ("VariableInserter", "VariableReplacer")


def listed(root: Path, path: str) -> Iterator[dict[str, Any]]:
    """Yield {operator, path, occurrence, line} of each place in a file."""
    nodes = list(ast_nodes(get_ast((root / path).read_text(encoding="utf-8"))))
    for name in sorted(operator_names()):
        if name.partition("/")[2] in WANT_ARGUMENTS:
            continue
        operator = get_operator(name)()
        lines = [start[0] for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, line in enumerate(lines):
            yield {"operator": name, "path": path, "occurrence": occurrence, "line": line}


def made(root: Path, place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the place with the mutated file's text, if that is another text and Python."""
    text = (root / place["path"]).read_text(encoding="utf-8")
    source = mutate_code(text, get_operator(place["operator"])(), place["occurrence"])
    if source is not None and source != text and compiles(source):
        yield {**place, "source": source}


def compiles(source: str) -> bool:
    """Say whether a text is Python."""
    try:
        compile(source, "<mutant>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def main(what: str, root: Path, files: list[str]) -> None:
    """Print lines of JSON."""
    if what == "list":
        told = (place for path in files for place in listed(root, path))
    else:
        told = (place for line in sys.stdin for place in made(root, json.loads(line)))
    for place in told:
        print(json.dumps(place))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
