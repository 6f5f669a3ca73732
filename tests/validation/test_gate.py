"""The gate judges patches: right ones, and nonsense that stops a crash."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from selfdrive_dagster.adapters.sandbox.conversation import OnLine
from selfdrive_dagster.model import (
    Candidate,
    Claim,
    Ending,
    Job,
    Product,
    Ran,
    Report,
    Reproducer,
    Support,
    Verdict,
    Way,
    short_id,
)
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.validation.gate import prove, prove_one
from tests.fakes.plain_sandbox import PlainSandbox

NUMBERS = '''\
"""Read numbers with a sign and a base, as people type them."""


def read(text, base=10):
    """Return the number that `text` spells."""
    sign = 1
    if text[0] == "-":
        sign, text = -1, text[1:]
    if not text.isalnum():
        raise ValueError("not a number")
    return sign * int(text, base)
'''
TESTS = """\
import pytest

import numbers_app.reading as reading


def test_plain():
    assert reading.read("120") == 120


def test_negative():
    assert reading.read("-45") == -45


def test_hex():
    assert reading.read("ff", 16) == 255


def test_junk():
    with pytest.raises(ValueError):
        reading.read("1 2")
"""
REPRODUCER = """\
import numbers_app.reading as reading


def test_empty_text_does_not_crash():
    try:
        reading.read("")
    except ValueError:
        pass
"""
QUICK = ("-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:timeout", "-p", "no:platformdirs")
PATH = "numbers_app/reading.py"
TEST = "tests/test_selfdrive_1.py"


@pytest.fixture
def product(tmp_path: Path) -> Product:
    for name in ("numbers_app", "tests"):
        (tmp_path / name).mkdir()
    (tmp_path / "numbers_app/__init__.py").write_text("")
    (tmp_path / PATH).write_text(NUMBERS)
    (tmp_path / "tests/test_reading.py").write_text(TESTS)
    return Product(
        name="numbers",
        root=str(tmp_path),
        python=sys.executable,
        revision="b" * 40,
        source=("numbers_app",),
        tests=QUICK,
    )


@pytest.fixture
def base(product: Product) -> SuiteRun:
    return run_suite(product, PlainSandbox(), lines=True)


CRASH = Reproducer(
    way=Way.CAPTURED_ARGUMENTS,
    path=TEST,
    source=REPRODUCER,
    node_ids=(f"{TEST}::test_empty_text_does_not_crash",),
    exception_type="IndexError",
    function="read",
    target_path=PATH,
)


def candidate(old: str, new: str, claim: Claim = Claim.REPAIR, path: str = PATH) -> Candidate:
    assert old in NUMBERS
    patch = render_diff(path, NUMBERS, NUMBERS.replace(old, new))
    return of_patch(patch, claim)


IDIOM = Support(kind="sibling_idiom", where="numbers_app/other.py:3", says="as there")


def of_patch(patch: str, claim: Claim = Claim.REPAIR) -> Candidate:
    return Candidate(
        id=short_id("cnd", patch),
        generator="test",
        family="test",
        path=PATH,
        line=7,
        function="read",
        patch=patch,
        claim=claim,
        supports=(IDIOM,) if claim is Claim.REPAIR else (),
        invented="" if claim is Claim.REPAIR else "reads an empty text as something",
    )


GUARD = ('if text[0] == "-"', 'if text and text[0] == "-"')
FIRST = "    sign = 1\n"


def judge(given: Candidate, product: Product, base: SuiteRun) -> Report:
    return prove_one(given, CRASH, base, product, PlainSandbox(), seed=3)


def test_a_right_repair_is_certified(product: Product, base: SuiteRun) -> None:
    report = judge(candidate(*GUARD), product, base)
    assert report.verdict is Verdict.CERTIFIED, report.reason
    assert {check.name for check in report.checks} >= {
        "claim", "applies", "policy", "canary_base", "canary_suite", "fails_on_base",
        "passes_on_patch", "suite", "suite_again",
        "passes_on_patch_again", "neighbours", "general", "unambiguous",
    }  # fmt: skip


def test_a_mitigation_is_at_best_contained(product: Product, base: SuiteRun) -> None:
    guess = candidate(
        FIRST, "    if not text:\n        return 10**9\n    sign = 1\n", Claim.MITIGATION
    )
    assert judge(guess, product, base).verdict is Verdict.CONTAINED


def test_a_repair_that_nothing_supports_is_judged_as_a_mitigation(
    product: Product, base: SuiteRun
) -> None:
    claimed = candidate(FIRST, "    if not text:\n        return 10**9\n    sign = 1\n")
    report = judge(replace(claimed, supports=()), product, base)
    assert (report.claim, report.verdict) == (Claim.MITIGATION, Verdict.CONTAINED)


def test_a_reproducer_may_inherit_the_tests_of_the_class_it_borrows_from(
    product: Product,
) -> None:
    tests = "import numbers_app.reading as reading\n\n\nclass TestWords:\n    def test_ten(self):\n"
    (Path(product.root) / "tests/test_words.py").write_text(
        f"{tests}        assert reading.read('10') == 10\n"
    )
    ours = "from test_words import TestWords\n" + REPRODUCER
    base = run_suite(product, PlainSandbox(), lines=True)
    report = prove_one(
        candidate(*GUARD), replace(CRASH, source=ours), base, product, PlainSandbox(), seed=3
    )
    assert report.verdict is Verdict.CERTIFIED, report.reason


WRONG = {
    "length guard breaks one digit": (
        FIRST,
        "    if len(text) < 2:\n        return 0\n    sign = 1\n",
    ),
    "swallows a deliberate error": (
        "    if not text.isalnum():",
        "    if not text:\n        return 0\n    if not text.replace(' ', '').isalnum():",
    ),
    "not even the crash stops": ("sign * int(text, base)", "sign * int(text, base) * 1"),
    "a test of the suite breaks": ("sign, text = -1, text[1:]", "text = text[1:]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_patch_is_uncertified(name: str, product: Product, base: SuiteRun) -> None:
    old, new = WRONG[name]
    wrong = (
        NUMBERS.replace(*GUARD).replace(old, new) if "breaks" in name else NUMBERS.replace(old, new)
    )
    report = judge(of_patch(render_diff(PATH, NUMBERS, wrong)), product, base)
    assert report.verdict is Verdict.UNCERTIFIED, report.reason


PROTECTED = ["tests/test_reading.py", "tests/conftest.py", "pyproject.toml", "sitecustomize.py"]


@pytest.mark.parametrize("path", PROTECTED)
def test_a_patch_outside_the_products_code_runs_nothing(
    path: str, product: Product, base: SuiteRun
) -> None:
    old = TESTS if path.endswith("test_reading.py") else None
    both = render_diff(PATH, NUMBERS, NUMBERS.replace(*GUARD)) + render_diff(path, old, "x = 1\n")
    sandbox = PlainSandbox()
    report = prove_one(of_patch(both), CRASH, base, product, sandbox)
    assert report.verdict is Verdict.UNCERTIFIED
    assert path in report.reason
    assert [job.program for job in sandbox.jobs] == []


def test_repairs_that_contradict_each_other_are_ambiguous(product: Product, base: SuiteRun) -> None:
    guesses = tuple(
        candidate(FIRST, f"    if not text:\n        return {n}\n    sign = 1\n") for n in range(3)
    )
    proof = prove(guesses, CRASH, base, product, PlainSandbox())
    assert proof.best is None
    assert {report.verdict for report in proof.reports} == {Verdict.AMBIGUOUS}
    assert "behave otherwise: on (text=''" in proof.reports[0].reason
    assert "this one returned int:0, another returned int:" in proof.reports[0].reason


def test_of_a_certified_repair_we_say_how_sure_we_are(product: Product, base: SuiteRun) -> None:
    sandbox = PlainSandbox()
    few, many = (
        prove((candidate(*GUARD),), CRASH, base, product, sandbox, least=least).reports[0]
        for least in (0.1, 1.0)
    )
    assert few.confidence is not None
    parts = {part.name: part.value for part in few.confidence.parts}
    assert parts["agreement"] == 1 and 0.9 < (parts["witnesses"] or 0) < 1
    assert 0.5 <= (parts["mutants"] or 0) <= 1
    assert few.confidence.value < 1
    assert (few.verdict, many.verdict) == (Verdict.CERTIFIED, Verdict.INCONCLUSIVE)
    assert many.reason.startswith("confident: the confidence is")


def test_a_refuted_rival_has_no_vote_and_its_suite_is_not_run(
    product: Product, base: SuiteRun
) -> None:
    nonsense = tuple(
        candidate(FIRST, f"    if len(text) < 2:\n        return {n}\n    sign = 1\n")
        for n in (0, 0.0)
    )
    sandbox = PlainSandbox()
    proof = prove((*nonsense, candidate(*GUARD)), CRASH, base, product, sandbox)
    assert [report.verdict for report in proof.reports[:2]] == [Verdict.UNCERTIFIED] * 2
    assert all("changes more than the failure" in r.reason for r in proof.reports[:2])
    assert proof.reports[2].verdict is Verdict.CERTIFIED
    assert sum(job.program == "suite" for job in sandbox.jobs) == 3


def test_the_report_names_what_it_is_about(product: Product, base: SuiteRun) -> None:
    given = candidate(*GUARD)
    report = judge(given, product, base)
    assert (report.candidate_id, report.base_revision) == (given.id, product.revision)
    assert len(report.patch_sha256) == len(report.reproducer_sha256) == 64
    assert report.sandbox_level == "full"


def test_without_passing_tests_nothing_is_certified(product: Product) -> None:
    (Path(product.root) / "tests/test_reading.py").unlink()
    base = run_suite(product, PlainSandbox(), lines=True)
    assert base.collected == ()
    report = judge(candidate(*GUARD), product, base)
    assert report.verdict is Verdict.INCONCLUSIVE, report.reason
    assert "no test of the product passes" in report.reason


HASHED = """\
    if not text:
        order = list({"a", "b", "c", "d", "e", "f", "g", "h"})
        if order[0] == FIRST:
            return 0
        return text[0]
    sign = 1
"""


def first_of_the_set(hash_seed: int) -> str:
    code = "print(list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})[0])"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()


def test_a_repair_that_holds_under_one_hash_seed_only_is_not_certified(
    product: Product, base: SuiteRun
) -> None:
    first = first_of_the_set(0)
    seed = next(n for n in range(40) if first_of_the_set(n + 1) != first)
    lucky = candidate(FIRST, HASHED.replace("FIRST", repr(first)))
    report = prove_one(lucky, CRASH, base, product, PlainSandbox(), seed=seed)
    passed = {check.name: check.passed for check in report.checks}
    assert (passed["passes_on_patch"], passed["suite"], passed["suite_again"]) == (True,) * 3
    assert passed["passes_on_patch_again"] is False
    assert report.verdict is Verdict.UNCERTIFIED


class DyingSandbox(PlainSandbox):
    """Runs jobs, but tells of one program as if its sandbox had been killed near the end."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self.program = program

    def run(self, job: Job, on_line: OnLine | None = None) -> Ran:
        ran = super().run(job, on_line)
        if job.program != self.program:
            return ran
        kinds = ("neighbour", "collected")
        kept = tuple(line for line in ran.lines if line["kind"] in kinds)
        return replace(ran, ending=Ending.KILLED, lines=kept)


DEATHS = {
    "the experiment died": ("neighbours", Verdict.INCONCLUSIVE, "neighbours: the experiment"),
    "every session died": ("suite", Verdict.UNCERTIFIED, "the session killed without an end"),
}


@pytest.mark.parametrize("name", DEATHS)
def test_what_died_is_no_proof(name: str, product: Product, base: SuiteRun) -> None:
    program, verdict, says = DEATHS[name]
    report = prove_one(candidate(*GUARD), CRASH, base, product, DyingSandbox(program), seed=3)
    assert report.verdict is verdict
    assert says in report.reason
    unknown = {check.name for check in report.checks if check.passed is None}
    assert (
        unknown
        >= {
            "neighbours": {"neighbours", "unambiguous"},
            "suite": {"canary_base", "fails_on_base", "canary_suite"},
        }[program]
    )
