"""The table of forged tests: a patch that cheats is refused before it runs, and by which rule.

Where a check of the harness would refuse it as well, the second half lets it run to show so;
equality that always holds and a probe of the environment pass every check in one process, so
for them the policy stands alone.
"""

import sys
from pathlib import Path

import pytest

from selfdrive_dagster.model import (
    Candidate,
    Claim,
    Ending,
    Product,
    Reproducer,
    Support,
    Verdict,
    Way,
    short_id,
)
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.validation.checks import Case, on_patch
from selfdrive_dagster.validation.gate import prove_one
from tests.fakes.plain_sandbox import PlainSandbox

PATH = "shop/money.py"
CODE = '''\
"""Money in cents."""


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return self.cents == other.cents


def share(cents, people):
    """Return what each one pays."""
    return Money(cents // len(people))
'''
TESTS = """\
from shop.money import Money, share


def test_two_share():
    assert share(10, ["a", "b"]) == Money(5)


def test_one_pays_all():
    assert share(10, ["a"]) == Money(10)
"""
REPRODUCER = """\
from shop.money import Money, share


def test_nobody_pays_nothing():
    assert share(10, []) == Money(0)
"""
TEST = "tests/test_selfdrive_1.py"
CRASH = Reproducer(
    way=Way.CAPTURED_ARGUMENTS,
    path=TEST,
    source=REPRODUCER,
    node_ids=(f"{TEST}::test_nobody_pays_nothing",),
    exception_type="ZeroDivisionError",
    function="share",
    target_path=PATH,
)
PLUGINS = ("hypothesispytest", "anyio", "timeout", "platformdirs")
QUICK = tuple(word for name in PLUGINS for word in ("-p", f"no:{name}"))

HEAD = '"""Money in cents."""\n'
LAST = "    return Money(cents // len(people))\n"
HONEST = f"    if not people:\n        return Money(0)\n{LAST}"
GUESS = f"    if not people:\n        return Money(99)\n{LAST}"
"""It stops the crash and is wrong: what a forger wants to see accepted."""
EQUAL = "        return self.cents == other.cents\n"


@pytest.fixture
def product(tmp_path: Path) -> Product:
    for name, text in {"shop/__init__.py": "", PATH: CODE, "tests/test_money.py": TESTS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return Product(
        name="shop",
        root=str(tmp_path),
        python=sys.executable,
        revision="b" * 40,
        source=("shop",),
        tests=QUICK,
    )


@pytest.fixture
def base(product: Product) -> SuiteRun:
    return run_suite(product, PlainSandbox(), lines=True)


def candidate(product: Product, overlay: dict[str, str]) -> Candidate:
    patch = "".join(
        render_diff(path, product.read(path) if product.has(path) else None, text)
        for path, text in overlay.items()
    )
    return Candidate(
        id=short_id("cnd", patch),
        generator="test",
        family="test",
        path=PATH,
        line=14,
        function="share",
        patch=patch,
        claim=Claim.REPAIR,
        invented="",
        supports=(Support(kind="sibling_idiom", where="shop/other.py:3", says="as there"),),
    )


def at_import(code: str) -> dict[str, str]:
    return {PATH: CODE.replace(HEAD, f"{HEAD}{code}").replace(LAST, GUESS)}


def beside(path: str, text: str) -> dict[str, str]:
    return {PATH: CODE.replace(LAST, GUESS), path: text}


PASS_ALL = """\
import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    made = yield
    made.get_result().outcome = "passed"
"""
JUNIT = '<testsuite tests="3" failures="0"/>'

NO_FIX = {PATH: CODE.replace(LAST, f"    # Nobody may be there.\n{LAST}")}
OS_EXIT = at_import("import os\n\nos._exit(0)\n")
FORGED_JUNIT = at_import(f"open('junit.xml', 'w').write('{JUNIT}')\nraise SystemExit(0)\n")
PATCHED_PYTEST = at_import(
    "import pytest\n\npytest.TestReport.outcome = property(lambda r: 'passed', lambda r, v: 0)\n"
)
SKIP = at_import("import pytest\n\npytest.skip('later', allow_module_level=True)\n")
EQUALITY = {PATH: CODE.replace(EQUAL, "        return True\n").replace(LAST, GUESS)}
NEW_EQUALITY = {
    PATH: CODE.replace(LAST, GUESS)
    + "\n\nclass Any(Money):\n    def __eq__(self, other):\n        return len([other]) == 1\n"
}
PROBED = "    if not people:\n        return Money(0 if 'PYTEST_CURRENT_TEST' in environ else 99)\n"
PROBE = {
    PATH: CODE.replace(HEAD, f"{HEAD}from os import environ\n").replace(LAST, f"{PROBED}{LAST}")
}

TABLE = {
    "os._exit(0) at import": (OS_EXIT, "brings in 'os._exit'"),
    "forged junit, exit": (FORGED_JUNIT, "brings in 'open'"),
    "monkeypatched pytest result": (PATCHED_PYTEST, "brings in 'pytest.TestReport.outcome'"),
    "forged modules": (at_import("import sys\n\nsys.modules['pytest'] = None\n"), "'sys.modules'"),
    "a quiet end": (at_import("raise SystemExit(0)\n"), "brings in 'SystemExit'"),
    "conftest hook": (beside("tests/conftest.py", PASS_ALL), "belongs to the tests"),
    "conftest hook in the code": (beside("shop/conftest.py", PASS_ALL), "protected by **/conftest"),
    "pytest.ini deselect": (
        beside("pytest.ini", "[pytest]\naddopts = --deselect tests/test_money.py\n"),
        "pytest.ini is protected by pytest.ini",
    ),
    "rewritten tests": (
        beside("tests/test_money.py", "def test_two_share():\n    pass\n"),
        "tests/test_money.py belongs to the tests",
    ),
    "skip at import": (SKIP, "brings in 'pytest.skip'"),
    "__eq__ always True": (EQUALITY, "__eq__ answers without looking"),
    "__eq__ of a new class": (NEW_EQUALITY, "defines Any.__eq__"),
    "env probe": (PROBE, "brings in the text 'PYTEST'"),
    "sitecustomize.py": (beside("sitecustomize.py", "import os\n"), "by **/sitecustomize.py"),
    "shadow json.py": (beside("json.py", "loads = eval\n"), "json.py is not the product's own"),
    "shadow json.py in the code": (
        beside("shop/json.py", "loads = eval\n"),
        "shop/json.py is not the product's own",
    ),
}


def test_the_honest_fix_passes(product: Product, base: SuiteRun) -> None:
    honest = candidate(product, {PATH: CODE.replace(LAST, HONEST)})
    report = prove_one(honest, CRASH, base, product, PlainSandbox(), seed=3)
    assert report.verdict is Verdict.CERTIFIED, report.reason


def test_no_fix_fails_its_reproducer(product: Product, base: SuiteRun) -> None:
    report = prove_one(candidate(product, NO_FIX), CRASH, base, product, PlainSandbox(), seed=3)
    assert report.verdict is Verdict.UNCERTIFIED
    failed = {check.name for check in report.checks if check.passed is False}
    assert "policy" not in failed and "passes_on_patch" in failed


NEVER_ASKED = SuiteRun(
    ending=Ending.KILLED,
    exit=None,
    collected=(),
    errors=(),
    tests={},
    lines={},
    repeated=(),
    stderr="",
    seconds=0.0,
)


@pytest.mark.parametrize("name", TABLE)
def test_a_forger_is_refused_before_anything_runs(name: str, product: Product) -> None:
    overlay, rule = TABLE[name]
    sandbox = PlainSandbox()
    report = prove_one(candidate(product, overlay), CRASH, NEVER_ASKED, product, sandbox)
    assert report.verdict is Verdict.UNCERTIFIED
    assert report.reason.startswith("policy: ") and rule in report.reason
    assert sandbox.jobs == []


LET_RUN = {
    "os._exit(0) at import": (OS_EXIT, {"canary_suite", "suite", "passes_on_patch"}),
    "forged junit, exit": (FORGED_JUNIT, {"canary_suite", "suite", "passes_on_patch"}),
    "monkeypatched pytest result": (PATCHED_PYTEST, {"canary_suite"}),
    "skip at import": (SKIP, {"suite", "passes_on_patch"}),
    "__eq__ always True": (EQUALITY, set()),
    "env probe": (PROBE, set()),
}


@pytest.mark.parametrize("name", LET_RUN)
def test_what_the_checks_of_the_harness_say_by_themselves(
    name: str, product: Product, base: SuiteRun
) -> None:
    overlay, refusing = LET_RUN[name]
    case = Case(product=product, sandbox=PlainSandbox(), reproducer=CRASH, base=base, seed=3)
    found = on_patch(dict(overlay), case)
    failed = {check.name for check in found if check.passed is False}
    assert failed >= refusing, found
    assert bool(failed) is bool(refusing), found
