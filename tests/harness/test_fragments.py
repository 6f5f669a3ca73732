"""A function compiled alone is what it is in its file: whole files are the oracle."""

import ast
import random
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from zlib import crc32

import pytest

from selfdrive_dagster.harness import fragments, live

LIBRARY = Path(live.__file__).parents[1]
FILES = sorted(one for one in LIBRARY.rglob("*.py") if crc32(one.stem.encode()) % 12 == 0)
"""A twelfth of our own files, the same ones whatever files come and go."""


def whole(path: str, text: str) -> CodeType:
    return compile(text, str(Path(path).resolve()), "exec", dont_inherit=True)


def wholes(path: str, old: str, new: str) -> tuple[CodeType, CodeType]:
    return whole(path, old), whole(path, new)


def functions(pairs: list[tuple[CodeType, CodeType]]) -> list[tuple[object, ...]]:
    return [tuple(told(code) for code in pair) for pair in pairs]


def told(code: CodeType) -> tuple[object, ...]:
    """Tell what a function is. Not its opcodes: calls through an imported module have their own."""
    inner = tuple(told(one) for one in code.co_consts if isinstance(one, CodeType))
    free = (code.co_freevars, code.co_cellvars, code.co_names, code.co_varnames, code.co_flags)
    plain = tuple(repr(one) for one in code.co_consts if not isinstance(one, CodeType))
    lines = sorted({line for _, _, line in code.co_lines() if line is not None})
    return (code.co_qualname, code.co_firstlineno, code.co_filename, lines, plain, *free, inner)


def pair(base: fragments.Layout, edited: str) -> tuple[CodeType, CodeType]:
    return fragments.compile_pair(base, fragments.edit_of(base.source, edited))


def edits(text: str, chance: random.Random) -> list[str]:
    """Take statements out of functions, or put `pass` before them: changes on whole lines."""
    lines = text.splitlines(keepends=True)
    inside = [
        one
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef)
        for one in function.body
        if one.lineno > function.lineno
    ]
    made = []
    for one in chance.sample(inside, min(6, len(inside))):
        indent = " " * one.col_offset
        first, last = one.lineno - 1, one.end_lineno or one.lineno
        made.append("".join([*lines[:first], f"{indent}pass; 1 + 1\n", *lines[first:]]))
        made.append("".join([*lines[:first], f"{indent}return None\n", *lines[last:]]))
    return made


def changed(both: Callable[..., tuple[CodeType, CodeType]], *of: object) -> object:
    """Return what differs, or that it is no function (one that leaves off `super` changes its
    class) or no Python (a name that `nonlocal` asks for is gone)."""
    try:
        return functions(live.changed_functions(*both(*of)))
    except live.Cold:
        return "cold"
    except SyntaxError:
        return "no Python"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_edits_of_our_own_files(path: Path) -> None:
    text = path.read_text()
    base = fragments.layout(str(path), text)
    for edited in edits(text, random.Random(path.stem)):
        assert changed(pair, base, edited) == changed(wholes, str(path), text, edited)


SHAPES = {
    "method": "class A:\n    def f(self):\n        return self.__x, super()\n",
    "nested classes": "class A:\n    class B:\n\n        def f(self):\n            return __x\n",
    "decorated": "import functools\n\n@functools.cache\ndef f(a, b=[]):\n    return a\n",
    "tabs": "class A:\n\tdef f(self):\n\t\treturn 1\n",
    "annotations are text": "from __future__ import annotations\n\ndef f(x: int):\n    return x\n",
    "form feed": "\f\nx = 'a\x0cb'\n\ndef f():\n    return 'a\x0cb'\n",
    "no line end": "def f():\n    return 1",
    "two on a line": "def f(): return 1\ndef g(): return 2; x = 1\n",
    "closure": "def outer():\n    x = 1\n    def f():\n        return x\n    return f\n",
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES.keys())
def test_shapes(text: str) -> None:
    edited = text.replace("return", "y = 7; return", 1)
    base = fragments.layout("some.py", text)
    expected = live.changed_functions(whole("some.py", text), whole("some.py", edited))
    assert functions(live.changed_functions(*pair(base, edited))) == functions(expected)


@pytest.mark.parametrize(
    "edited",
    [
        "def f():\n    return 1\n    # more\nLIMIT = 4\n",
        "def f():\n    return 1\ndef g():\n    return 2\nLIMIT = 3\n",
        "@print\ndef f():\n    return 1\nLIMIT = 3\n",
    ],
    ids=["another constant", "another function", "another decorator"],
)
def test_what_reaches_beyond_a_function_is_cold(edited: str) -> None:
    base = fragments.layout("some.py", "def f():\n    return 1\nLIMIT = 3\n")
    with pytest.raises(live.Cold):
        live.changed_functions(*pair(base, edited))


def test_what_is_no_python_says_so() -> None:
    base = fragments.layout("some.py", "def f():\n    return 1\n")
    with pytest.raises(SyntaxError):
        pair(base, "def f():\n    return '''1\n")
