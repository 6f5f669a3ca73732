"""Telemetry files handed to a home's segments, whether or not a receiver runs.

Decoding, redaction, duplicates and counts are those of the receiver (`intake`). Files have a
folder of segments of their own beside the receiver's, since a folder has one writer.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.intake import Intake, ingest_file
from selfdrive_dagster.adapters.segments import SegmentWriter, Tally
from selfdrive_dagster.errors import BadInput, Busy
from selfdrive_dagster.telemetry import Redactor

RECEIVED = Path("segments") / "receiver"
HANDED = Path("segments") / "ingest"
"""Where in a home the two of them write."""

KEY_FILE = "pseudonyms.key"
"""The file of a home that keeps persons apart and nameless."""

LOOK_SECONDS = 0.1


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file. `fault` says why nothing of it could be read, "" when it could.

    received = stored + duplicate + rejected.
    """

    path: str
    received: int
    stored: int
    duplicate: int
    rejected: int
    fault: str = ""


def hand_over(
    files: Sequence[Path],
    directory: Path,
    redactor: Redactor,
    service_name: str,
    patience_seconds: float = 30.0,
) -> tuple[Handed, ...]:
    """Put files into the segments of a directory; they are on disk when this returns.

    A file that cannot be read is told and keeps no other from being taken. Raises Busy when
    somebody else hands files over for longer than `patience_seconds`.
    """
    writer = patient_writer(directory, patience_seconds)
    try:
        intake = Intake(writer)
        return tuple(take(path, intake, redactor, service_name) for path in files)
    finally:
        writer.close()


def patient_writer(directory: Path, seconds: float) -> SegmentWriter:
    """Return the writer of a directory, once it is free."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return SegmentWriter(directory)
        except Busy:
            if time.monotonic() > deadline:
                raise Busy(
                    f"Another `selfdrive ingest` writes to {directory}.",
                    remedy="wait for its end, then run this again",
                ) from None
        time.sleep(LOOK_SECONDS)


def take(path: Path, intake: Intake, redactor: Redactor, service_name: str) -> Handed:
    """Take one file; one that cannot be read counts as one rejected delivery."""
    try:
        tally, fault = ingest_file(path, intake, redactor, service_name), ""
    except BadInput as error:
        intake.refuse()
        tally, fault = Tally(rejected=1), error.message
    return Handed(path=str(path), received=tally.received, **tally._asdict(), fault=fault)
