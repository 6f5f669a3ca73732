"""Good calls of production in the gate: what the product's own tests do not say must stay."""

import sys
from pathlib import Path

import pytest
from fakes.plain_sandbox import PlainSandbox
from msgspec.structs import replace

from selfdrive_dagster.model import (
    Candidate,
    Claim,
    Ending,
    GoodCall,
    HttpRequest,
    Product,
    Reproducer,
    Verdict,
    Way,
    short_id,
)
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.validation.checks import Case
from selfdrive_dagster.validation.gate import prove_one
from selfdrive_dagster.validation.good_calls import on_patch, settle

LEAN = ("-q", "-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:timeout")
PATH = "till/prices.py"
PRICES = """\
def share(cents, people):
    return cents // people
"""
APPS = {
    "starlette": """\
import time

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from till.prices import share


async def shares(request):
    body = await request.json()
    return JSONResponse({"each": share(body["cents"], body["people"])})


async def now(request):
    return JSONResponse({"now": time.time_ns()})


app = Starlette(routes=[Route("/shares", shares, methods=["POST"]), Route("/now", now)])
""",
    "flask": """\
import time

from flask import Flask, request

from till.prices import share

app = Flask("till")


@app.post("/shares")
def shares():
    return {"each": share(request.json["cents"], request.json["people"])}


@app.get("/now")
def now():
    return {"now": time.time_ns()}
""",
}
TEST = "tests/test_selfdrive_1.py"
CRASH = Reproducer(
    way=Way.CAPTURED_ARGUMENTS,
    path=TEST,
    source="from till.prices import share\n\n\ndef test_it():\n    share(10, 0)\n",
    node_ids=(f"{TEST}::test_it",),
    exception_type="ZeroDivisionError",
    function="share",
    target_path=PATH,
)


def product_of(framework: str, folder: Path) -> Product:
    pytest.importorskip(framework)
    for name in ("till", "tests"):
        (folder / name).mkdir()
    (folder / "till/__init__.py").touch()
    (folder / PATH).write_text(PRICES)
    (folder / "till/web.py").write_text(APPS[framework])
    (folder / "tests/test_prices.py").write_text(
        "from till.prices import share\n\n\ndef test_share():\n    assert share(10, 5) == 2\n"
    )
    return Product(
        name="till", root=str(folder), python=sys.executable, source=("till",), tests=LEAN
    )


def call(method: str, url: str, status: int = 200, **body: int) -> GoodCall:
    return GoodCall(request=HttpRequest(method=method, url=url, body=body or None), status=status)


CALLS = (
    call("POST", "/shares", cents=2_000_000, people=2),
    call("POST", "/shares", cents=900, people=3),
    call("POST", "/shares", 201, cents=900, people=3),  # the base answers with 200
    call("GET", "/now"),  # never the same twice
    call("GET", "/somebody"),  # the base knows nobody
)
CAREFUL = PRICES.replace("    return", "    if people == 0:\n        return 0\n    return")
CARELESS = CAREFUL.replace("people == 0", "people == 0 or cents > 1_000_000")


NEVER_ASKED = SuiteRun(
    ending=Ending.EXITED,
    exit=0,
    collected=(),
    errors=(),
    tests={},
    lines={},
    repeated=(),
    stderr="",
    seconds=0.0,
)


def case_of(product: Product, reproducer: Reproducer = CRASH) -> Case:
    return Case(
        product=product,
        sandbox=PlainSandbox(),
        reproducer=reproducer,
        base=NEVER_ASKED,
        seed=3,
    )


@pytest.mark.parametrize("framework", APPS)
def test_only_what_the_base_answers_as_production_did_vouches(
    framework: str, tmp_path: Path
) -> None:
    case = case_of(product_of(framework, tmp_path))
    oracles = settle(CALLS, case)
    assert oracles is not None
    assert [one.partition("::")[2] for one in oracles.node_ids] == ["test_call_0", "test_call_1"]
    careful = on_patch(oracles, {PATH: CAREFUL}, case)
    assert careful.passed, careful.says
    assert careful.numbers["given"] == 5
    assert careful.numbers["compared"] == 2
    careless = on_patch(oracles, {PATH: CARELESS}, case)
    assert careless.passed is False
    assert careless.says == "1 of 2 good calls are answered otherwise"


def test_where_values_are_meant_to_change_only_the_status_must_stay(tmp_path: Path) -> None:
    failing = replace(CRASH, way=Way.FAILING_TEST)
    case = case_of(product_of("starlette", tmp_path), failing)
    oracles = settle(CALLS, case)
    assert oracles is not None
    assert len(oracles.node_ids) == 3  # the time too is answered with the same status
    assert on_patch(oracles, {PATH: CARELESS}, case).passed
    broken = PRICES.replace("//", "/ 0 //")
    assert on_patch(oracles, {PATH: broken}, case).passed is False


def test_without_a_client_or_a_call_that_holds_nobody_vouches(tmp_path: Path) -> None:
    product = product_of("starlette", tmp_path)
    case = case_of(product)
    assert settle((call("GET", "/somebody"),), case) is None
    (tmp_path / "till/web.py").unlink()
    assert settle(CALLS, case) is None


ABOVE = "MOST = 1_000_000\n\n\n" + CARELESS.replace("1_000_000", "MOST")
TOLD = {
    "a call that good calls make": (CARELESS, "neighbours", "cents=2000000"),
    "a change above functions": (ABOVE, "good_calls", "1 of 2 good calls are answered otherwise"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", TOLD)
def test_the_gate_refuses_what_breaks_a_good_call(case: str, tmp_path: Path) -> None:
    text, name, says = TOLD[case]
    product = product_of("starlette", tmp_path)
    patch = render_diff(PATH, PRICES, text)
    careless = Candidate(
        id=short_id("cnd", patch),
        generator="test",
        family="test",
        path=PATH,
        line=2,
        function="share",
        patch=patch,
        claim=Claim.MITIGATION,
        invented="returns 0",
    )
    base = run_suite(product, PlainSandbox(), lines=True)
    report = prove_one(careless, CRASH, base, product, PlainSandbox(), seed=3, calls=CALLS)
    told = {check.name: check for check in report.checks}
    assert told[name].passed is False
    assert says in told[name].says
    assert report.verdict is Verdict.UNCERTIFIED
