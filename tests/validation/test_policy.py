"""The policy decides on what a patch makes of a file, and names all that is wrong at once."""

from pathlib import Path

import pytest

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Check, Product
from selfdrive_dagster.patches.text import apply_patch, render_diff
from selfdrive_dagster.validation import check_policy

PATH = "shop/prices.py"
BUSY = "shop/busy.py"
OLD = "def price(zone):\n    return RATES[zone]\n"
REACHING = """\
import os
import os as system
import time
from datetime import date
from subprocess import run

start = run


def folder(zone):
    try:
        return os.path.join("rates", os.environ["ZONES"], zone)
    except Exception:
        return getattr(zone, zone)


class Price:
    def __eq__(self, other):
        if self is other:
            return True
        return self.cents == other.cents


def closed(day):
    return day > date(2026, 1, 1)
"""


@pytest.fixture
def product(tmp_path: Path) -> Product:
    for name in (PATH, "shop/auth/login.py", "tests/test_prices.py", "setup.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(OLD)
    (tmp_path / BUSY).write_text(REACHING)
    (tmp_path / "shop/windows.py").write_bytes(b"def f(a):\r\n    return a\r\n")
    (tmp_path / "shop/rates.json").write_text("{}\n")
    return Product(
        name="shop",
        root=str(tmp_path),
        python="python",
        source=("shop",),
        protected=("**/auth/**",),
        max_lines=10,
    )


def judge(product: Product, path: str, new: str | None) -> Check:
    old = product.read(path) if product.has(path) else None
    return check_policy(render_diff(path, old, new), {path: new}, product)


def test_a_small_change_of_the_products_code_passes(product: Product) -> None:
    check = judge(product, PATH, OLD.replace("RATES[zone]", "RATES.get(zone, 0)"))
    assert check.passed and check.numbers["changed_lines"] == 2


REFUSED = {
    "a test": ("tests/test_prices.py", "x = 1\n", "belongs to the tests"),
    "a protected path": ("shop/auth/login.py", "x = 1\n", "protected by **/auth/**"),
    "a build file": ("setup.py", "x = 1\n", "protected by setup.py"),
    "who may approve": (".selfdrive/allowed_signers", "x = 1\n", "protected by .selfdrive/**"),
    "another file": ("notes.py", "x = 1\n", "not the product's own code"),
    "a new file beside the code": ("shop/json.py", "x = 1\n", "not the product's own code"),
    "another kind of file": ("shop/rates.json", "[]\n", "not the product's own code"),
    "a deletion": (PATH, None, "deletes shop/prices.py"),
    "too much": (PATH, OLD + "x = 1\n" * 11, "changes 11 lines, more than 10"),
    "too much, ended by carriage returns": (PATH, OLD + "x = 1\r" * 11, "changes 11 lines"),
    "a carriage return alone": (PATH, OLD + "# fine\rx = 1\n", "the character U+000D"),
    "carriage returns where none were": (PATH, OLD + "x = 1\r\n", "the character U+000D"),
    "a form feed": (PATH, OLD + "# fine \x0c x = 1\n", "the character U+000C"),
    "text that turns around": (PATH, OLD + "# \u202e 1 = x\n", "the character U+202E"),
    "a line beyond the screen": (PATH, f"{OLD}x = 1{' ' * 400}; y = 2\n", "more than 400"),
    "another encoding": (PATH, f"# coding: unicode_escape\n{OLD}", "changes the encoding"),
    "names for names for names": (
        PATH,
        OLD + "import os as a\n" + "; ".join(f"a = b.x{n}; b = a.y{n}" for n in range(20)) + "\n",
        "stands for too many things",
    ),
    "half a character": (PATH, OLD + "# \udc80\n", "the character U+DC80"),
    "no Python": (PATH, OLD + "x = = 1\n", "cannot be read as Python"),
    "too deep for the parser": (PATH, f"{OLD}x = {'(' * 350}\n", "cannot be read as Python"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_patch_must_not_touch_or_be_is_named(name: str, product: Product) -> None:
    path, new, words = REFUSED[name]
    check = judge(product, path, new)
    assert check.passed is False
    assert words in check.says


def test_a_file_with_its_own_line_ends_may_keep_them(product: Product) -> None:
    check = judge(product, "shop/windows.py", "def f(a):\r\n    a += 1\r\n    return a\r\n")
    assert check.passed and check.numbers["changed_lines"] == 1


def plain(product: Product) -> str:
    return render_diff(PATH, product.read(PATH), OLD.replace("zone", "place"))


OTHERWISE_WRITTEN = {
    "words before the header": ("--- a", "-eval( exec( subprocess os.s globals(\n--- a", ""),
    "words after the last hunk": ("", "", "Reviewed-by: everybody\n"),
    "a mode": ("--- a", "old mode 100644\nnew mode 100755\n--- a", ""),
    "a git header": ("--- a", "diff --git a/shop/prices.py b/shop/prices.py\n--- a", ""),
    "a heading in a hunk": (" @@\n", " @@ def unrelated():\n", ""),
    "lines that go and come back": ("+def", "-\n+\n+def", ""),
}


@pytest.mark.parametrize("name", OTHERWISE_WRITTEN)
def test_a_patch_says_nothing_beside_its_result(name: str, product: Product) -> None:
    old, new, tail = OTHERWISE_WRITTEN[name]
    patch = plain(product)
    overlay = {PATH: OLD.replace("zone", "place")}
    assert check_policy(patch, overlay, product).passed
    check = check_policy(patch.replace(old, new, 1) + tail, overlay, product)
    assert check.passed is False and "beside the plain diff" in check.says


def test_a_file_that_is_there_is_never_made_anew(product: Product) -> None:
    with pytest.raises(BadInput, match="which is there already"):
        apply_patch(product.read, render_diff(PATH, None, "x = 1\n" * 200))


def test_what_replaces_a_whole_file_counts_as_all_its_lines(product: Product) -> None:
    new = "x = 1\n" * 9
    check = check_policy(render_diff(PATH, None, new), {PATH: new}, product)
    assert check.numbers["changed_lines"] == 11
    assert "beside the plain diff" in check.says


NEW_REACH = {
    "a module": ("import subprocess", "'subprocess'"),
    "a name out of a module": ("from os import _exit", "'os._exit'"),
    "a module under another name": ("import os as o; o._exit(0)", "'os._exit'"),
    "the collector": ("from gc import get_objects", "'gc.get_objects'"),
    "a module through our own": ("from shop import os", "'shop.os'"),
    "a module through an allowed one": ("import json; json.codecs.sys.exit()", "'.sys'"),
    "a hidden name of an allowed module": ("from dataclasses import _create_fn", "._create_fn'"),
    "a module nobody knows": ("import freezegun", "'freezegun'"),
    "everything of a module": ("from shop.table import *", "'shop.table.*'"),
    "evaluation": ("eval(zone)", "'eval'"),
    "evaluation in brackets": ("(eval)(zone)", "'eval'"),
    "evaluation in other letters": ("𝐞val(zone)", "'eval'"),
    "evaluation that looks like a header": ("++eval('1')", "'eval'"),
    "evaluation under another name": ("e = eval; e('1')", "'eval'"),
    "evaluation out of builtins": ("__builtins__['eval']('1')", "'__builtins__'"),
    "an import by call": ("__import__('x')", "'__import__'"),
    "a name that hides a built-in by scope": (
        "from re import search as eval; eval('1')",
        "'eval'",
    ),
    "attributes by computed names": ("getattr(zone, a + b)", "a computed name"),
    "attributes by another getter": ("g = getattr", "'getattr'"),
    "attributes by a constant name": ("getattr(zone, '__globals__')", "'.__globals__'"),
    "attributes in a format": ("'{0.__init__.__globals__}'.format(zone)", "text '__globals__'"),
    "attributes by a pattern": (
        "match zone:\n    case object(__globals__=g): pass",
        "'.__globals__'",
    ),
    "an annotation that is run": ("def f(a: 'run(1)'): return a", "an annotation that calls"),
    "an evaluator of annotations": ("from typing import get_type_hints as g", "get_type_hints'"),
    "setting by name": ("setattr(zone, 'a', 1)", "'setattr'"),
    "globals": ("globals()['price'] = None", "'globals'"),
    "loaded modules": ("import sys; sys.modules['json'] = None", "'sys.modules'"),
    "a way up": ("().__class__.__base__.__subclasses__()", "'.__subclasses__'"),
    "a frame": ("zone.gi_frame.f_back", "'.gi_frame'"),
    "another class": ("zone.__class__ = int", "'.__class__'"),
    "a file": ("open('/etc/hosts')", "'open'"),
    "a test's variable": ("T = 'PYTEST_CURRENT_TEST'", "text 'PYTEST'"),
    "a variable of CI": ("T = 'CI'", "text 'CI'"),
    "the same in bytes": ("T = b'PYTEST_CURRENT_TEST'", "text 'PYTEST'"),
    "the file's place": ("T = 'work' in __file__", "'__file__'"),
    "an end of the program": ("raise SystemExit(0)", "'SystemExit'"),
    "a built-in replaced": ("def len(_): return 0", "hides the built-in len"),
    "a function of another module": ("import json; json.loads = None", "sets json.loads"),
    "a class made by a call": ("T = type('T', (), {})", "makes a class"),
    "an equality": ("class T:\n    def __eq__(self, other): return self.a == other.a", "T.__eq__"),
    "an equality by assignment": ("class T:\n    __eq__ = lambda a, b: True", "T.__eq__"),
    "a hook of the module": ("def __getattr__(name): return None", "defines __getattr__"),
    "the clock": ("import datetime; T = datetime.datetime.now()", "reads the clock"),
    "a date": ("T = zone.day > date(2027, 1, 1)", "a fixed date"),
    "a date as text": ("T = str(zone) > '2027-01-01'", "a fixed date"),
    "a year": ("T = zone.year >= 2027", "a fixed date"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEW_REACH)
def test_new_reach_is_refused(name: str, product: Product) -> None:
    added, words = NEW_REACH[name]
    check = judge(product, PATH, f"{OLD}{added}\n")
    assert check.passed is False
    assert words in check.says


CATCHING = {
    "bare": "except: return 0",
    "all": "except Exception: return 0",
    "truly all": "except BaseException as error: return error",
    "all, in a tuple": "except (KeyError, Exception,): return 0",
    "all, by its full name": "except builtins.Exception: return 0",
    "nothing done": "except KeyError: pass",
    "dots": "except KeyError: ...",
    "a return in finally": "finally: return 0",
}


@pytest.mark.parametrize("name", CATCHING)
def test_new_swallowing_is_refused(name: str, product: Product) -> None:
    body = f"    try:\n        return RATES[zone]\n    {CATCHING[name]}\n"
    check = judge(product, PATH, f"def price(zone):\n{body}")
    assert check.passed is False
    assert "swallows" in check.says


ALLOWED = {
    "a handler that answers": "try:\n    a = 1\nexcept (KeyError, IndexError):\n    a = 0",
    "a translation": "try:\n    a = 1\nexcept KeyError as error:\n    raise ValueError from error",
    "an error of no class": "if not RATES:\n    raise Exception",
    "an import of pure code": "from decimal import Decimal",
    "an import of our own code": "from shop.table import RATES",
    "a pattern": "import re; T = re.compile('a')",
    "a name of a class": "T = price.__class__.__name__",
    "a variable that is called like a module": "signal = code = 1; T = signal + code",
    "a constant that mentions main": "T = __name__ == '__main__'",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_ordinary_code_is_allowed(name: str, product: Product) -> None:
    check = judge(product, PATH, f"{OLD}{ALLOWED[name]}\n")
    assert check.passed, check.says


START = "start = run\n"
EQUAL = "    def __eq__(self, other):\n"
CATCH = "    except Exception:\n"
LATE = "day > date(2026, 1, 1)"
JOIN = "os.path.join"

MORE_OF_THE_SAME = {
    "one more path put together": (START, f"{START}T = os.path.join('a', 'b')\n", ""),
    "a described equality": (EQUAL, f'{EQUAL}        """By cents."""\n', ""),
    "a changed argument": ('os.environ["ZONES"]', 'os.environ["ZONES"].strip()', ""),
    "another function of the module": (JOIN, "os.popen", "brings in 'os.popen'"),
    "one more function of the module": (JOIN, f"{JOIN}(os.getcwd())", "'os.getcwd'"),
    "a function by its other name": (START, f"{START}start(['ls'])\n", "'subprocess.run'"),
    "a function named anew": (START, "start = system\nstart.abort()\n", "'os.abort'"),
    "a loop over a list of nodes": (START, f"{START}node = node.left\nnode = node.right\n", ""),
    "the module by its other name": (START, f"{START}system.abort()\n", "'os.abort'"),
    "a second handler": (CATCH, f"    except KeyError:\n        return ''\n{CATCH}", ""),
    "an equality that does not look": (
        "return self.cents == other.cents",
        "return True",
        "answers without looking",
    ),
    "another variable of the environment": ('"ZONES"', '"PYTEST_VERSION"', "text 'PYTEST'"),
    "the clock of a known module": (START, "start = time.time()\n", "reads the clock: time.time"),
    "another date": (LATE, LATE.replace("2026", "2027"), ""),
    "a second date": (LATE, f"{LATE} or day == date(2027, 1, 1)", "a fixed date"),
}


@pytest.mark.parametrize("name", MORE_OF_THE_SAME)
def test_what_the_base_does_is_allowed_as_often_as_the_base_does_it(
    name: str, product: Product
) -> None:
    old, new, words = MORE_OF_THE_SAME[name]
    assert old in REACHING
    check = judge(product, BUSY, REACHING.replace(old, new))
    assert check.passed is (words == ""), check.says
    assert words in check.says


def test_all_faults_are_told_at_once(product: Product) -> None:
    check = judge(product, "tests/test_prices.py", OLD + "import socket\n" * 11)
    assert check.says.count(";") >= 3
