"""Append-only segment files: where telemetry is safe before anybody hears "received".

A segment is a head (magic line, tally of all that came before, crc32), then records of
`<length u32><crc32 u32><tally 3 x u32><payload>`, little endian. One writer appends; one fsync
serves every record that waited for it (group commit). A torn tail is cut when the directory is
opened again; a damaged record with whole ones behind it is set aside first. A segment closes by
size or age: the next one is made first, then `<number>.open` is renamed to `<number>.seg`. Readers
take closed segments only and may delete them; the tallies go on, and so they survive kill -9 too.

Payloads must be redacted before they get here. What a payload means does not belong here.
"""

from selfdrive_dagster.adapters.segments.layout import (
    Tally,
    closed_segments,
    read_segment,
    set_aside,
)
from selfdrive_dagster.adapters.segments.writer import Limits, SegmentWriter

__all__ = ["Limits", "SegmentWriter", "Tally", "closed_segments", "read_segment", "set_aside"]
