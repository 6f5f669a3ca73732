"""From segments to tables: what one batch has removed is no fault to another."""

from pathlib import Path
from typing import Any

from fakes.selfdrive_program import ROOT

from selfdrive_dagster.adapters.handing import hand_over
from selfdrive_dagster.adapters.ingest import ingest_segments, waiting_segments
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.telemetry import Redactor

ENVELOPE = ROOT / "tests" / "cases" / "shop_envelopes" / "01-unknown-zone.envelope"


class Overtaken(Warehouse):
    """A warehouse into which another batch has put the same segments at the same time."""

    def __init__(self, home: Path, folder: Path) -> None:
        super().__init__(home)
        self.folder = folder

    def append(self, table: str, records: Any) -> Any:
        done = super().append(table, records)
        for segment in waiting_segments([self.folder]):
            segment.unlink()
        return done


def test_a_segment_that_another_batch_removed_is_no_fault(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    hand_over([ENVELOPE], folder, Redactor(b"k" * 32), "shop")
    warehouse = Overtaken(tmp_path, folder)
    done = ingest_segments([folder], warehouse)
    assert (done.segments, done.stored["exceptions"]) == (1, 1)
    assert waiting_segments([folder]) == ()
