"""One Python file as its readers need it: imports, what names mean, dotted names, attributes.

The file is read as Python reads it: the coding line obeyed, names in their NFKC form.
"""

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from selfdrive_dagster.validation.reach.words import BROAD, BUILTINS, MODULES

_PASSES = 4
"""So often are assignments of assignments followed."""
_MOST_MEANINGS = 200
_WORTH = tuple(f"{name}." for name in (*BUILTINS, *BROAD, *MODULES, "getattr", "type"))
"""What an assignment is followed for, besides what imports bind."""


class Source:
    """One file, parsed. Raises SyntaxError, ValueError, RecursionError or MemoryError."""

    def __init__(self, text: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Bytes, so that a coding line means to us what it means to Python.
            self.tree = ast.parse(text.encode())
        self.nodes = tuple(ast.walk(self.tree))

    @cached_property
    def imports(self) -> tuple[tuple[str, str], ...]:
        """Return (name it binds, dotted origin) of every import; relative ones start with `.`."""
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for one in node.names:
                    root = one.name.partition(".")[0]
                    found += [(one.asname or root, one.name if one.asname else root)]
                    found += [] if one.asname or root == one.name else [("", one.name)]
            elif isinstance(node, ast.ImportFrom):
                origin = "." * node.level + (node.module or "")
                joined = origin if origin.endswith(".") else f"{origin}."
                found += [(one.asname or one.name, joined + one.name) for one in node.names]
        return tuple(found)

    @cached_property
    def roots(self) -> frozenset[str]:
        """Return the top packages that are imported by their full names."""
        return frozenset(origin.partition(".")[0] for _, origin in self.imports) - {""}

    @cached_property
    def meanings(self) -> dict[str, frozenset[str]]:
        """Return what names stand for: imports, and plain assignments of what they bind."""
        found: dict[str, frozenset[str]] = {}
        for name, origin in self.imports:
            found[name] = found.get(name, frozenset()) | {origin}
        worth = (*(f"{origin}." for _, origin in self.imports), *_WORTH)
        pairs = tuple(_assigned(self.nodes))
        for _ in range(_PASSES):
            before = dict(found)
            for name, value in pairs:
                meant = {one for one in _meant(value, found) if f"{one}.".startswith(worth)}
                found[name] = found.get(name, frozenset()) | meant
                if len(found[name]) > _MOST_MEANINGS:
                    raise ValueError(f"{name} stands for too many things")
            if before == found:
                break
        return found

    @cached_property
    def chains(self) -> tuple[tuple[ast.AST, frozenset[str]], ...]:
        """Return the outermost dotted names that start with a name, and all that they mean."""
        inner: set[int] = set()
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Attribute):
                inner.add(id(node.value))
            outer = isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in inner
            if outer and (chain := dotted(node)):
                found.append((node, _meant(chain, self.meanings)))
        return tuple(found)

    @cached_property
    def attributes(self) -> tuple[tuple[str, bool], ...]:
        """Return (name, is it set) of every attribute.

        `getattr` with a constant reads one, and so does the pattern `case Order(total=t)`.
        """
        plain = [node for node in self.nodes if isinstance(node, ast.Attribute)]
        named = [text_of(call.args[1:2]) for call in self.calls_of("getattr")]
        for node in self.nodes:
            named += node.kwd_attrs if isinstance(node, ast.MatchClass) else ()
        return (
            *((node.attr, not isinstance(node.ctx, ast.Load)) for node in plain),
            *((name, False) for name in named if name is not None),
        )

    def calls_of(self, name: str) -> Iterator[ast.Call]:
        """Yield the calls of a built-in under any of its names."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                meant = _meant(dotted(node.func), self.meanings)
                if meant & {name, f"builtins.{name}"}:
                    yield node


def _assigned(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield (name, dotted value) of plain assignments, walrus and annotation included.

    One that only walks on (`node = node.next`) makes no new name for anything.
    """
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = dotted(node.value) if node.value else ""
            names = [one.id for one in targets if value and isinstance(one, ast.Name)]
            yield from ((name, value) for name in names if name != value.partition(".")[0])


def _meant(chain: str, meanings: dict[str, frozenset[str]]) -> frozenset[str]:
    head, dot, rest = chain.partition(".")
    return frozenset({chain, *(f"{origin}{dot}{rest}" for origin in meanings.get(head, ()))})


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` of a chain of names, "" of anything else, however deep it is."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def text_of(nodes: Sequence[ast.AST]) -> str | None:
    """Return the text that one constant holds, None of anything else."""
    node = nodes[0] if len(nodes) == 1 else None
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def is_dunder(name: str) -> bool:
    """Say whether a name is of the form that Python keeps for itself."""
    return len(name) > 4 and name.startswith("__") and name.endswith("__")
