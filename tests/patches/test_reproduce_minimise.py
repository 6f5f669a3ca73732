"""Recorded lists that are longer than the crash needs."""

import sys
from pathlib import Path

from fakes.plain_sandbox import PlainSandbox
from reproduce_cases import LEAN, NoHistory

from selfdrive_dagster.model import Crash, Frame, Product, RaisedException, Reproducer
from selfdrive_dagster.patches import diagnose, reproduce

CODE = """
def shares(orders, names):
    return [1200 // order["count"] for order in orders], names


def spread(values):
    return 100 // (len(values) - 9)
"""


def made_of(folder: Path, function: str, line: int, **variables: object) -> Reproducer:
    (folder / "club").mkdir()
    (folder / "club" / "__init__.py").touch()
    (folder / "club" / "dues.py").write_text(CODE)
    product = Product(
        name="club", root=str(folder), python=sys.executable, source=("club",), tests=LEAN
    )
    frame = Frame(path="/srv/club/dues.py", function=function, line=line, variables=variables)
    raised = RaisedException(type="ZeroDivisionError", frames=(frame,))
    crash = Crash(event_id="e", source="test", exceptions=(raised,))
    found = reproduce(diagnose(product, NoHistory(), crash=crash), product, PlainSandbox())
    assert found.reproducer is not None, found.attempts
    return found.reproducer


def test_entries_that_the_crash_does_not_need_go(tmp_path: Path) -> None:
    orders = [{"count": str(n), "note": "'n'"} for n in (3, 4, 5, 0, 6, 7, 8, 9)]
    made = made_of(tmp_path, "shares", 3, orders=orders, names=["'a'", "'b'", "'c'"])
    assert made.source.count('"count"') <= 3
    assert '{"count": 0, "note": "n"}' in made.source  # keys stay: later code may need them
    assert '["a", "b", "c"]' in made.source  # so few may be a record
    assert "'9'" not in made.production_values
    assert "9" not in made.production_values


def test_a_list_whose_length_matters_stays(tmp_path: Path) -> None:
    made = made_of(tmp_path, "spread", 7, values=[str(n) for n in range(9)])
    assert "[0, 1, 2, 3, 4, 5, 6, 7, 8]" in made.source
