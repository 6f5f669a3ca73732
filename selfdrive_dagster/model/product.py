"""The product at one revision: an exported tree, its interpreter and its test command."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import msgspec


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A host directory that holds one revision without `.git`, and how to run its tests.

    `root` is never written to. `source` are folders (or single modules) below it that hold
    the product's own code; `tests` are the arguments pytest gets; `max_lines` bounds what one patch
    may change. Paths are POSIX, relative.
    """

    name: str
    root: str
    python: str
    revision: str = ""
    source: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    max_lines: int = 50

    def read(self, path: str) -> str:
        """Return a file's text, line ends as they are. `path` is relative, inside the tree."""
        return (Path(self.root) / path).read_bytes().decode("utf-8")

    def has(self, path: str) -> bool:
        """Say whether `path` is a file of this revision."""
        return (Path(self.root) / path).is_file()

    def source_files(self) -> tuple[str, ...]:
        """Return the product's own Python files, sorted, tests left out."""
        root = Path(self.root)
        found = {
            file
            for folder in self.source
            for file in (
                [root / folder] if folder.endswith(".py") else (root / folder).rglob("*.py")
            )
            if file.is_file()
        }
        paths = sorted(file.relative_to(root).as_posix() for file in found)
        return tuple(path for path in paths if not is_test_path(path))

    def import_roots(self) -> tuple[str, ...]:
        """Return the folders that must be on `sys.path`, the tree's top first."""
        parents = {Path(folder).parent.as_posix() for folder in self.source}
        return (".", *sorted(parents - {"."}))


def is_test_path(path: str) -> bool:
    """Say whether a relative path is a test's: by pytest's usual names and folders."""
    parts = Path(path).parts
    name = parts[-1]
    in_folder = any(part in ("tests", "test", "testing") for part in parts[:-1])
    return (
        in_folder or name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")
    )


def is_protected(path: str, patterns: Iterable[str]) -> bool:
    """Say whether any of the patterns protects a path."""
    return bool(protecting(path, patterns))


def protecting(path: str, patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that protect a path. In doubt they do.

    A pattern is a shell glob whose `*` also crosses folders and whose `**/` may stand for no
    folder. It holds at any depth, leading slash or not, since paths of telemetry start
    anywhere; a pattern that names a folder holds for all within; case never matters.
    """
    parts = [
        part for part in PurePosixPath(path.replace("\\", "/").casefold()).parts if part != "/"
    ]
    ends = range(1, len(parts) + 1)
    runs = ["/".join(parts[start:end]) for end in ends for start in range(end)]
    return tuple(
        pattern
        for pattern in patterns
        if any(fnmatchcase(run, glob) for glob in _globs(pattern) for run in runs)
    )


def _globs(pattern: str) -> tuple[str, ...]:
    plain = pattern.casefold().strip("/")
    while plain.startswith("**/"):
        plain = plain.removeprefix("**/")
    return (plain, plain.replace("/**/", "/"))
