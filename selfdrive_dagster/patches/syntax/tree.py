"""All files of a product, each read and parsed at most once, when it is asked for."""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import PurePosixPath

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.syntax.definitions import Class, Function
from selfdrive_dagster.patches.syntax.module import Module
from selfdrive_dagster.patches.syntax.names import last_name

KEPT_MODULES = 64
"""Parsed files that outlive their tree."""

MOST_CHARACTERS = 4_000_000
"""So much text is searched for a word, the nearest files first."""


class Tree:
    """All modules of a product, parsed when asked for. Files with syntax errors are left out."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self._texts: dict[str, str] = {}
        self._modules: dict[str, Module | None] = {}

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Return the product's own Python files."""
        return self.product.source_files()

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Return every module that parses."""
        return tuple(module for path in self.paths if (module := self.module(path)))

    def text(self, path: str) -> str:
        """Return a file's text, "" when it cannot be read."""
        if path not in self._texts:
            try:
                self._texts[path] = self.product.read(path)
            except (OSError, UnicodeDecodeError):
                self._texts[path] = ""
        return self._texts[path]

    def mentioning(self, word: str, near: str) -> Iterator[Module]:
        """Yield the parsed files whose text holds `word`; `near` first, then its folder."""
        folder = near.rpartition("/")[0]
        budget = MOST_CHARACTERS
        for path in sorted(self.paths, key=lambda path: (path != near, folder not in path, path)):
            budget -= len(self.text(path))
            if budget < 0:
                return
            if word in self.text(path) and (module := self.module(path)):
                yield module

    def module(self, path: str) -> Module | None:
        """Return the module at a path; None when it is missing or does not parse."""
        if path not in self._modules:
            self._modules[path] = self._parse(path)
        return self._modules[path]

    def importable(self, path: str) -> str:
        """Return the path below its import root: `src/shop/cart.py` → `shop/cart.py`."""
        for root in sorted(self.product.import_roots(), key=len, reverse=True):
            if root != "." and path.startswith(f"{root}/"):
                return path[len(root) + 1 :]
        return path

    def classes_named(self, name: str) -> tuple[Class, ...]:
        """Return the classes with a bare or qualified name, from all modules."""
        return tuple(
            one
            for module in self.modules
            for one in module.classes
            if name in (one.qualname, one.node.name, f"{one.module}.{one.qualname}")
        )

    def class_of(self, function: Function) -> Class | None:
        """Return the class a method stands in."""
        module = self.module(function.path)
        if module is None or function.owner is None:
            return None
        return next((one for one in module.classes if one.node is function.owner), None)

    def _parse(self, path: str) -> Module | None:
        inner = PurePosixPath(self.importable(path)).with_suffix("")
        parts = inner.parts[:-1] if inner.name == "__init__" else inner.parts
        return _module(path, self.text(path), ".".join(parts))


@lru_cache(maxsize=KEPT_MODULES)
def _module(path: str, text: str, name: str) -> Module | None:
    """Return a parsed text. Kept, since each search and each claim looks at the same files."""
    try:
        return Module(path, text, name) if text else None
    except (SyntaxError, ValueError, RecursionError):
        return None  # told by the caller: a frame in it is simply not found


def exception_classes(tree: Tree) -> tuple[Class, ...]:
    """Return the product's own exception classes: those that inherit one, at any distance."""
    known: dict[str, Class] = {}
    waiting = [one for module in tree.modules for one in module.classes]
    while True:
        found = [one for one in waiting if any(_is_exception(base, known) for base in one.bases)]
        if not found:
            return tuple(known.values())
        known.update({one.node.name: one for one in found})
        waiting = [one for one in waiting if one not in found]


def _is_exception(base: str, known: dict[str, Class]) -> bool:
    name = last_name(base)
    return name in known or name in ("Exception", "BaseException") or name.endswith("Error")
