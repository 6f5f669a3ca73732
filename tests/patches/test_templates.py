"""The families: each named case's edit is among the drafts, early enough to be tried."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from selfdrive_dagster.model import (
    Claim,
    Crash,
    Diagnosis,
    Frame,
    Product,
    RaisedException,
    Suspicion,
)
from selfdrive_dagster.patches.claims import claim_of
from selfdrive_dagster.patches.templates import FAMILIES, ROUTES, Draft, generate
from selfdrive_dagster.patches.templates.table import HINTS

CASES = Path(__file__).parent.parent / "cases" / "templates"


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}: {case['name']}")
        for file in sorted(CASES.glob("*.toml"))
        for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    ]


def drafts_of(case: dict[str, Any], root: Path, limit: int = 400) -> list[Draft]:
    (root / "shop.py").write_text(case["source"], encoding="utf-8")
    rows = [n for n, row in enumerate(case["source"].split("\n"), 1) if row.strip() == case["line"]]
    line = rows[case.get("occurrence", 1) - 1]
    exception = case.get("exception", "")
    variables = case.get("values")
    frame = Frame(path="shop.py", function=case.get("function", ""), line=line, variables=variables)
    if variables is not None:
        inside = [row for row in case["source"].split("\n")[:line] if "def " in row][-1]
        name = inside.split("def ")[1].split("(")[0]
        frame = Frame(path="shop.py", function=name, line=line, variables=variables)
    raised = RaisedException(type=exception, value=case.get("message", ""), frames=(frame,))
    crash = Crash(event_id="1", source="test", exceptions=(raised,)) if exception else None
    diagnosis = Diagnosis(
        revision="r",
        sentence="",
        crash=crash,
        failing_tests=() if exception else ("tests/test_shop.py::test_it",),
        frames=(),
        suspicions=(Suspicion(path="shop.py", line=line, function="", score=1.0, why="frame"),),
        inputs=(),
        suspect=None,
        exception_type=exception,
    )
    product = Product(name="shop", root=str(root), python="python", source=("shop.py",))
    return list(generate(diagnosis, product, limit=limit))


@pytest.mark.parametrize("case", _cases())
def test_the_expected_edit_is_among_the_first(case: dict[str, Any], tmp_path: Path) -> None:
    drafts = drafts_of(case, tmp_path)
    ranks = [rank for rank, draft in enumerate(drafts, 1) if case["expect"] in draft.source]
    shown = "\n".join(f"{d.family}: {d.patch.split('@@', 2)[-1]}" for d in drafts[:12])
    assert ranks, f"none of {len(drafts)} drafts; the first are:\n{shown}"
    assert ranks[0] <= case["within"], f"rank {ranks[0]}; before it:\n{shown}"
    if "repair" in case:
        wanted = Claim.REPAIR if case["repair"] else Claim.MITIGATION
        assert claim_of(drafts[ranks[0] - 1], failing_test=False)[0] is wanted


def test_routes_and_hints_name_families_that_exist() -> None:
    names = [family.name for family in FAMILIES]
    routed = {name for _, families in (*ROUTES, *HINTS) for name in families}
    assert len(set(names)) == len(names)
    assert routed <= set(names)


def test_every_family_drafts_something(tmp_path: Path) -> None:
    seen = {draft.family for case in _cases() for draft in drafts_of(case.values[0], tmp_path)}
    assert {family.name for family in FAMILIES} - seen == set()


def test_the_value_seen_at_the_raise_decides_which_name_is_guarded(tmp_path: Path) -> None:
    source = "\ndef f(first, second):\n    return first.name + second.name\n"
    case = {
        "source": source,
        "line": "return first.name + second.name",
        "exception": "AttributeError",
        "message": "'NoneType' object has no attribute 'name'",
    }
    for bad, good in (("first", "second"), ("second", "first")):
        drafts = drafts_of(case | {"values": {bad: "None", good: "<User 1>"}}, tmp_path)
        guards = [d.source for d in drafts if d.family == "guard"]
        assert f"if {bad} is None:" in guards[0]
