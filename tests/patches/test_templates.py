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
from selfdrive_dagster.patches.templates import Draft, generate

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
