"""JUnit files: one that pytest itself writes, and those that are none."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry import Arrival, Records, read_records

ARRIVAL = Arrival(received_at=datetime(2026, 11, 27, tzinfo=UTC), service_name="shop")

SUITE = """
import pytest

def test_fine(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_sum(n): assert n == 1, "write to ada@example.org"

@pytest.mark.skip
def test_later(): pass

@pytest.fixture
def broken(): raise RuntimeError("no database")

def test_needs(broken): pass
"""


def written_by_pytest(folder: Path) -> bytes:
    (folder / "test_cart.py").write_text(SUITE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--junitxml",
        "out.xml",
        "-p",
        "no:cacheprovider",
    ]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return (folder / "out.xml").read_bytes()


def read(data: bytes) -> Records:
    return read_records(data, "out.xml", ARRIVAL)


def test_what_pytest_writes_is_read(tmp_path: Path) -> None:
    data = written_by_pytest(tmp_path)
    rows = {row.test_case_name: row for row in read(data).test_results}
    assert {name: row.test_case_result_status for name, row in rows.items()} == {
        "test_cart::test_fine": "passed",
        "test_cart::test_sum[1]": "passed",
        "test_cart::test_sum[2]": "failed",
        "test_cart::test_later": "skipped",
        "test_cart::test_needs": "failed",
    }
    failed = rows["test_cart::test_sum[2]"]
    assert failed.message is not None
    assert "ada@example.org" not in failed.message
    assert failed.timestamp != ARRIVAL.received_at
    assert read(data) == read(data)


REFUSED = {
    "entities": (b'<!DOCTYPE x [<!ENTITY a "b">]><testsuites></testsuites>', "document type"),
    "cut off": (b"<testsuites><testsuite name='a'>", "no whole XML"),
    "another root": (b"<report><testsuite/></report>", "no JUnit file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_is_refused(name: str) -> None:
    data, says = REFUSED[name]
    with pytest.raises(BadInput, match=says):
        read(data)
