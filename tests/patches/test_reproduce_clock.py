"""Crashes that happen only at their time, and tests that make them happen for ever."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from fakes.plain_sandbox import PlainSandbox
from reproduce_cases import LEAN, NoHistory

from selfdrive_dagster.model import Crash, Frame, Product, RaisedException, Reproduction
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.patches.suite import run_suite

WHEN = datetime(2024, 2, 29, 23, 30, 5, tzinfo=UTC)
READS = {
    "from datetime import datetime": "datetime.now().year",
    "from datetime import UTC, datetime": "datetime.now(UTC).year",
    "import datetime as dt": "dt.datetime.now().year",
    "from datetime import date": "date.today().year",
    "import time": "time.gmtime(time.time()).tm_year",
    "from time import gmtime, time": "gmtime(time()).tm_year",
}


def product_of(folder: Path, imports: str, year: str) -> Product:
    (folder / "club").mkdir()
    (folder / "club" / "__init__.py").touch()
    code = f"{imports}\n\n\ndef share(cents):\n    return cents // ({year} - 2024)\n"
    (folder / "club" / "dues.py").write_text(code)
    return Product(
        name="club", root=str(folder), python=sys.executable, source=("club",), tests=LEAN
    )


def crash_of(product: Product) -> Crash:
    frame = Frame(
        path="/srv/club/dues.py",
        function="share",
        line=5,
        source=product.read("club/dues.py").splitlines()[4],
        variables={"cents": "1250"},
    )
    raised = RaisedException(type="ZeroDivisionError", frames=(frame,))
    return Crash(event_id="e", source="test", exceptions=(raised,), timestamp=WHEN)


def reproduced(product: Product, crash: Crash) -> Reproduction:
    return reproduce(diagnose(product, NoHistory(), crash=crash), product, PlainSandbox())


@pytest.mark.parametrize("imports", READS)
def test_a_crash_of_its_time_comes_again_at_that_time(imports: str, tmp_path: Path) -> None:
    product = product_of(tmp_path, imports, READS[imports])
    found = reproduced(product, crash_of(product))
    made = found.reproducer
    assert made is not None, found.attempts
    assert "# The clock is stopped at the moment of the recorded call." in made.source
    assert "NOW = datetime(2024, 2, 29, 23, 30, 5, tzinfo=timezone.utc)" in made.source
    assert "def test_share_survives_the_recorded_call(monkeypatch):" in made.source
    assert ("class ThatDay" in made.source) == ("date.today" in READS[imports])
    fixed = product.read("club/dues.py").replace("cents //", "cents and 1 if True else cents //")
    run = run_suite(
        product,
        PlainSandbox(),
        node_ids=made.node_ids,
        overlay={made.path: made.source, "club/dues.py": fixed},
    )
    assert run.with_outcome("passed") == made.node_ids, run


def test_without_the_moment_it_does_not_come_again(tmp_path: Path) -> None:
    product = product_of(tmp_path, "import time", READS["import time"])
    timeless = msgspec.structs.replace(crash_of(product), timestamp=None)
    found = reproduced(product, timeless)
    assert found.reproducer is None
    assert "did not fail" in found.attempts[0].outcome


def test_a_caller_that_reads_a_clock_does_not_stop_it_for_what_it_calls(tmp_path: Path) -> None:
    product = product_of(tmp_path, "from datetime import date", "2024")
    code = product.read("club/dues.py")
    code += "\n\ndef bill(member):\n    return share(member.cents), date.today()\n"
    (tmp_path / "club" / "dues.py").write_text(code)
    crash = crash_of(product)
    caller = Frame(path="/srv/club/dues.py", function="bill", line=9, variables={"member": "<M>"})
    raised = msgspec.structs.replace(crash.raised, frames=(caller, *crash.raised.frames))
    made = reproduced(product, msgspec.structs.replace(crash, exceptions=(raised,))).reproducer
    assert made is not None
    assert "monkeypatch" not in made.source


def test_a_function_without_a_clock_gets_none(tmp_path: Path) -> None:
    product = product_of(tmp_path, "import time", "2024")
    made = reproduced(product, crash_of(product)).reproducer
    assert made is not None
    assert "monkeypatch" not in made.source
