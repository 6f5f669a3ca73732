"""What a repository tells about itself: its code, its tests, its interpreter.

Only looks at names and a few files; runs nothing and imports nothing of the product.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

NOT_THE_PRODUCT = frozenset(
    (
        *("test", "tests", "testing", "doc", "docs", "example", "examples", "sample", "samples"),
        *("bench", "benchmark", "benchmarks", "script", "scripts", "tool", "tools"),
        *("build", "dist", "venv", "env", "node_modules", "site-packages"),
        *("vendor", "third_party", "migrations"),
    )
)
NOT_A_MODULE = frozenset(
    ("setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py", "dodo.py", "versioneer.py")
)
VIRTUAL_ENVIRONMENTS = (".venv", "venv", "env")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and in `missing` one sentence for each thing that was not.

    `source` and `tests` are relative POSIX paths; `python` is an interpreter's path and
    `python_from` says where it was found.
    """

    name: str
    source: tuple[str, ...]
    tests: tuple[str, ...]
    python: str
    python_from: str
    missing: tuple[str, ...] = ()


def discover(repo: Path, environ: Mapping[str, str] = os.environ) -> Found:
    """Look at a repository's folders. Raises OSError when it cannot be listed."""
    source, tests = find_source(repo), find_tests(repo)
    python, python_from = find_python(repo, environ)
    gaps = (
        (not source, "No folder with Python code was found: name it in [service] source."),
        (not tests, "No tests were found: without them a patch can hardly be proven."),
        (
            python_from == "this program",
            "The product has no virtual environment of its own (.venv or venv): "
            "name its interpreter in [service] python if it is not the one that runs Selfdrive.",
        ),
    )
    return Found(
        name=repo.absolute().name,
        source=source,
        tests=tests,
        python=python,
        python_from=python_from,
        missing=tuple(sentence for gap, sentence in gaps if gap),
    )


def find_source(repo: Path) -> tuple[str, ...]:
    """Return the folders or modules that hold the product's own code, relative, sorted.

    The first place that has any wins: packages under `src`, packages at the top, modules at
    the top or under `src`, packages one folder down (`backend/app`), folders with loose code.
    """
    folders = [folder for folder in subfolders(repo) if folder.name not in NOT_THE_PRODUCT]
    src = repo / "src"
    places: tuple[Callable[[], list[Path]], ...] = (
        lambda: packages(subfolders(src)),
        lambda: packages(folders) + modules(repo),
        lambda: modules(src),
        lambda: [package for folder in folders for package in packages(subfolders(folder))],
        lambda: [folder for folder in folders if modules(folder)],
    )
    found = next((paths for place in places if (paths := place())), [])
    return tuple(sorted(path.relative_to(repo).as_posix() for path in found))


def packages(folders: Iterable[Path]) -> list[Path]:
    """Return those folders that are Python packages of the product."""
    return [
        folder
        for folder in folders
        if folder.name.isidentifier()
        and folder.name not in NOT_THE_PRODUCT
        and (folder / "__init__.py").is_file()
    ]


def modules(folder: Path) -> list[Path]:
    """Return the importable modules right in a folder, tests and build scripts left out."""
    return [
        file
        for file in entries(folder)
        if file.suffix == ".py"
        and file.stem.isidentifier()
        and file.is_file()
        and file.name not in NOT_A_MODULE
        and not file.name.startswith("test_")
        and not file.stem.endswith("_test")
    ]


def find_tests(repo: Path) -> tuple[str, ...]:
    """Return the folders and files where pytest would find tests, relative, sorted."""
    named = [repo / name for name in ("tests", "test") if (repo / name).is_dir()]
    loose = [file for file in entries(repo) if file.match("test_*.py") or file.match("*_test.py")]
    inside = [
        folder / name
        for folder in subfolders(repo)
        for name in ("tests", "test")
        if folder.name not in NOT_THE_PRODUCT and (folder / name).is_dir()
    ]
    found = [path for path in (*named, *loose, *inside) if path.is_file() or any_python(path)]
    return tuple(sorted(path.relative_to(repo).as_posix() for path in found))


def find_python(repo: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the product's interpreter and where it was found.

    The path is made absolute but links are kept: a virtual environment is known by the name
    its interpreter is called with. The product's own is returned even when we may not run it:
    another one in its place would prove nothing of the product.
    """
    for name in VIRTUAL_ENVIRONMENTS:
        if is_there(python := repo.absolute() / name / "bin" / "python"):
            return str(python), name
    active = environ.get("VIRTUAL_ENV", "")
    if active and is_program(python := Path(active) / "bin" / "python"):
        return str(python), "the active virtual environment"
    return sys.executable, "this program"


def is_program(path: Path) -> bool:
    """Say whether a file is there and may be executed by us."""
    return is_there(path) and os.access(path, os.X_OK)


def is_there(path: Path) -> bool:
    """Say whether a file is there; one that we may not even look at is."""
    try:
        return path.is_file()
    except OSError:
        return True


def any_python(folder: Path) -> bool:
    """Say whether a folder holds any Python file, at any depth."""
    return next(folder.rglob("*.py"), None) is not None


def entries(folder: Path) -> list[Path]:
    """Return a folder's visible entries, sorted; none when there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def subfolders(folder: Path) -> list[Path]:
    """Return a folder's visible folders, sorted."""
    return [path for path in entries(folder) if path.is_dir()]
