"""The front's journal: what was noted is read again, whatever a crash left before it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.rollout.traffic import Cause, Returned

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def entry(generation: int) -> Returned:
    return Returned(
        at=NOW, cause=Cause.LEASE, reason="a test", change_id="chg_1", generation=generation
    )


@pytest.mark.parametrize("torn", [b"", b'{"at":"2026', b'{"at":"2026-11-27T12:00:00Z","cau'])
def test_a_line_that_a_crash_tore_costs_no_other(torn: bytes, tmp_path: Path) -> None:
    files = FrontFiles(tmp_path)
    files.note(entry(1))
    with files.journal_file.open("ab") as file:
        file.write(torn)
    files.note(entry(2))
    files.note(entry(3))
    assert [one.generation for one in files.journal()] == [1, 2, 3]
