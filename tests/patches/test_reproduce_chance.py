"""Crashes that need a certain draw, and tests that state the seed that makes it."""

import sys
from pathlib import Path

import pytest
from fakes.plain_sandbox import PlainSandbox
from reproduce_cases import LEAN, NoHistory

from selfdrive_dagster.model import Crash, Frame, Product, RaisedException, Reproducer
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.patches.suite import run_suite

DRAWS = {
    "import random": "random.randrange(4)",
    "import random as rnd": "rnd.randrange(4)",
    "from random import randrange": "randrange(4)",
}


def reproduced(folder: Path, imports: str, drawn: str) -> tuple[Product, Reproducer | None]:
    """Let a lottery divide by what it drew, and reproduce the crash."""
    (folder / "fair").mkdir()
    (folder / "fair" / "__init__.py").touch()
    code = f"{imports}\n\n\ndef share(cents):\n    return cents // {drawn}\n"
    (folder / "fair" / "lots.py").write_text(code)
    product = Product(
        name="fair", root=str(folder), python=sys.executable, source=("fair",), tests=LEAN
    )
    frame = Frame(
        path="/srv/fair/lots.py",
        function="share",
        line=5,
        source=code.splitlines()[4],
        variables={"cents": "1250"},
    )
    raised = RaisedException(type="ZeroDivisionError", frames=(frame,))
    crash = Crash(event_id="e", source="test", exceptions=(raised,))
    diagnosis = diagnose(product, NoHistory(), crash=crash)
    return product, reproduce(diagnosis, product, PlainSandbox()).reproducer


@pytest.mark.parametrize("imports", DRAWS)
def test_a_crash_by_a_draw_states_the_seed_that_makes_it(imports: str, tmp_path: Path) -> None:
    product, made = reproduced(tmp_path, imports, DRAWS[imports])
    assert made is not None
    assert "    random.seed(" in made.source
    assert "# Random numbers are drawn from the seed " in made.source
    assert "import random\n" in made.source
    for hash_seed in (2, 3, 4):
        run = run_suite(
            product,
            PlainSandbox(),
            node_ids=made.node_ids,
            overlay={made.path: made.source},
            hash_seed=hash_seed,
        )
        assert run.with_outcome("failed") == made.node_ids


@pytest.mark.parametrize("drawn", ["random.Random(7).randrange(1)", "0"])
def test_what_draws_nothing_gets_no_seed(drawn: str, tmp_path: Path) -> None:
    _, made = reproduced(tmp_path, "import random", drawn)
    assert made is not None
    assert "seed(" not in made.source
    assert "# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC." in made.source
