"""When issues were last held to be mended: beside the tables, for whoever ranks without a database.

Written by the loop, which knows outcomes from its records; read by `selfdrive issues`. Belongs
here: the file. Does not belong: what counts as mended (`orchestration.observing`).
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.warehouse.live import write_file

NAME = "resolved.json"


def keep_resolved(root: Path, resolved: Mapping[str, datetime]) -> None:
    """Write the file if it would say something else; `root` is the warehouse's folder."""
    data = msgspec.json.encode(dict(sorted(resolved.items())))
    path = root / NAME
    if not path.exists() or path.read_bytes() != data:
        write_file(path, data)


def read_resolved(root: Path) -> dict[str, datetime] | None:
    """Return when each issue was held to be mended, None where the loop never told."""
    path = root / NAME
    return (
        msgspec.json.decode(path.read_bytes(), type=dict[str, datetime]) if path.exists() else None
    )
