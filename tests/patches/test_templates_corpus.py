"""Any draft, on code nobody wrote for us: the standard library of the running interpreter."""

import ast
import json
import random
import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from selfdrive_dagster.model import Diagnosis, Product, Suspicion
from selfdrive_dagster.patches.templates import Draft, generate
from selfdrive_dagster.patches.templates.checker import forbidden
from selfdrive_dagster.patches.text import apply_patch

LIBRARY = Path(json.__file__).parent.parent
FILES = (
    "textwrap", "shlex", "string", "configparser", "json/decoder", "json/encoder", "json/scanner",
    "bisect", "heapq", "fnmatch", "glob", "colorsys", "csv", "calendar", "cmd", "copy", "difflib",
    "fractions", "getopt", "gettext", "graphlib", "linecache", "mimetypes", "netrc", "pprint",
    "quopri", "sched", "statistics", "tokenize", "html/parser", "urllib/robotparser", "wave",
)  # fmt: skip
EXCEPTIONS = ("", "IndexError", "KeyError", "AttributeError", "TypeError", "ValueError",
              "ZeroDivisionError", "OverflowError", "UnboundLocalError")  # fmt: skip


class RawProduct(Product, frozen=True):
    """A product whose line ends are read as they are."""

    def read(self, path: str) -> str:
        return (Path(self.root) / path).read_bytes().decode("utf-8")


def diagnose(exception: str, *lines: int, path: str = "m.py") -> Diagnosis:
    return Diagnosis(
        revision="",
        sentence="",
        crash=None,
        failing_tests=(),
        frames=(),
        suspicions=tuple(
            Suspicion(path=path, line=line, function="", score=1.0, why="") for line in lines
        ),
        inputs=(),
        suspect=None,
        exception_type=exception,
    )


def sample(text: str, root: Path, seed: str, lines: int, limit: int = 60) -> list[Draft]:
    """Return drafts for randomly chosen statements of a text; the seed is its name."""
    (root / "m.py").write_bytes(text.encode())
    product = RawProduct(name="m", root=str(root), python="", source=("m.py",))
    chosen = random.Random(seed)
    inner = {
        node.lineno
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.stmt)
    }
    diagnosis = diagnose(chosen.choice(EXCEPTIONS), *chosen.sample(sorted(inner), lines))
    return list(generate(diagnosis, product, limit=limit))


@cache
def baseline(text: str) -> Counter[str]:
    """Return what the text held already, among what no draft may bring in."""
    return forbidden(ast.parse(text))


def check(text: str, draft: Draft) -> None:
    assert apply_patch(lambda _path: text, draft.patch) == {"m.py": draft.source}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(draft.source)
        compile(draft.source, "m.py", "exec", dont_inherit=True)
    assert not forbidden(tree) - baseline(text)
    assert draft.invented
    assert draft.tokens > 0


@pytest.mark.parametrize("name", FILES)
def test_every_draft_compiles_and_is_its_patch(name: str, tmp_path: Path) -> None:
    text = (LIBRARY / f"{name}.py").read_bytes().decode()
    drafts = sample(text, tmp_path, name, lines=2)
    assert len({draft.source for draft in drafts}) == len(drafts)
    for draft in drafts[::13]:
        check(text, draft)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_single_draft_compiles(name: str, tmp_path: Path) -> None:
    text = (LIBRARY / f"{name}.py").read_bytes().decode()
    for draft in sample(text, tmp_path, name + "!", lines=4, limit=200):
        check(text, draft)


SHAPES = {
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "tabs": lambda text: text.replace("    ", "\t"),
    "multi-byte": lambda text: text.replace("text", "tëxt").replace("'", "'"),
    "no newline at the end": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_layout_survives(shape: str, tmp_path: Path) -> None:
    text = SHAPES[shape]((LIBRARY / "textwrap.py").read_text(encoding="utf-8"))
    drafts = sample(text, tmp_path, shape, lines=6)
    for draft in drafts[::11]:
        check(text, draft)
        if shape == "crlf":
            assert draft.source.count("\n") == draft.source.count("\r\n")
        added = [row for row in draft.patch.splitlines() if row.startswith("+")]
        assert shape != "tabs" or not any(row[1:].startswith("  ") for row in added[1:])


def test_the_order_is_the_same_every_time(tmp_path: Path) -> None:
    text = (LIBRARY / "shlex.py").read_text(encoding="utf-8")
    assert sample(text, tmp_path, "s", lines=2) == sample(text, tmp_path, "s", lines=2)


def test_drafts_are_made_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def f(a):\n    return a[0] + 1\n", encoding="utf-8")
    product = RawProduct(name="m", root=str(tmp_path), python="", source=("m.py",))
    drafts = generate(diagnose("IndexError", 2), product, limit=10**9)
    assert next(drafts).path == "m.py"
    (tmp_path / "m.py").unlink()  # what follows comes from what was read once
    assert next(drafts).path == "m.py"
    assert len(list(generate(diagnose("", 2), product, limit=3))) == 0


LEFT_ALONE = {
    "a test": "tests/test_shop.py",
    "a protected file": "shop/auth/keys.py",
    "somebody else's code": "vendor/lib.py",
    "outside the tree": "../shop/cart.py",
    "no Python": "shop/data.json",
}


@pytest.mark.parametrize("path", LEFT_ALONE.values(), ids=LEFT_ALONE.keys())
def test_some_files_are_never_touched(path: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("def f(a):\n    return a[0]\n", encoding="utf-8")
    product = Product(
        name="m", root=str(root), python="", source=("shop", "tests"), protected=("**/auth/**",)
    )
    assert list(generate(diagnose("IndexError", 2, path=path), product, limit=10)) == []


TEMPTING = """
import os

def f(path, data):
    handle = open(path)
    os.remove(path)
    eval(data)
    try:
        value = data[0]
    except:
        value = None
    return value
"""


@pytest.mark.parametrize("line", range(5, 13))
def test_nothing_dangerous_is_brought_in(line: int, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(TEMPTING, encoding="utf-8")
    product = Product(name="m", root=str(tmp_path), python="", source=("m.py",))
    before = Counter(forbidden(ast.parse(TEMPTING)))
    assert before["open"] == 1
    assert before["bare except"] == 1
    for exception in ("", "IndexError", "OSError"):
        for draft in generate(diagnose(exception, line), product, limit=500):
            assert not forbidden(ast.parse(draft.source)) - before, draft.patch
