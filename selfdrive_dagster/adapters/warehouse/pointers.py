"""Small files beside the tables: what people decided of issues, and what was carried over.

`verdicts.json` and `skips.json` are written from the database, which has the last word, so that
whoever reads the tables needs none. `carried.json` tells which issue a fingerprint was in before
the fingerprint or its settings changed, `verdicts.followed` up to which verdict the tables follow.
Belongs here: the files. Does not belong: what they mean (`issues.members`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from selfdrive_dagster.adapters.warehouse.live import write_file
from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.issues.members import Member, Verdict
from selfdrive_dagster.issues.skips import Skip
from selfdrive_dagster.model import digest

VERDICTS, CARRIED, FOLLOWED = "verdicts.json", "carried.json", "verdicts.followed"
SKIPS = "skips.json"

_Record = TypeVar("_Record", Member, Verdict, Skip)


def keep_verdicts(root: Path, verdicts: Sequence[Verdict]) -> None:
    """Write what people decided, in order, if the file would say something else."""
    _keep(root / VERDICTS, verdicts)


def read_verdicts(root: Path) -> tuple[Verdict, ...]:
    """Return what people decided, in order."""
    return _read(root / VERDICTS, Verdict)


def is_undecided(warehouse: Warehouse) -> bool:
    """Say whether somebody decided something that the tables do not follow yet."""
    return _digest(warehouse.root) != _followed(warehouse.root)


def note_followed(root: Path, verdicts: Sequence[Verdict]) -> None:
    """Note up to which verdict the tables follow."""
    path, now = root / FOLLOWED, digest(msgspec.json.encode(verdicts))
    if _followed(root) != now:
        write_file(path, now.encode())


def _digest(root: Path) -> str:
    return digest(msgspec.json.encode(read_verdicts(root)))


def _followed(root: Path) -> str:
    path = root / FOLLOWED
    return path.read_text() if path.exists() else digest(msgspec.json.encode(()))


def keep_carried(root: Path, members: Sequence[Member]) -> None:
    """Write the pointers of an earlier version."""
    _keep(root / CARRIED, members)


def read_carried(root: Path) -> tuple[Member, ...]:
    """Return the pointers of an earlier version."""
    return _read(root / CARRIED, Member)


def keep_skips(root: Path, skips: Sequence[Skip]) -> None:
    """Write which issues are left alone, in the order in which that was said."""
    _keep(root / SKIPS, skips)


def read_skips(root: Path) -> tuple[Skip, ...]:
    """Return which issues are left alone, in the order in which that was said."""
    return _read(root / SKIPS, Skip)


def _keep(path: Path, records: Sequence[msgspec.Struct]) -> None:
    data = msgspec.json.encode(records)
    if (path.read_bytes() if path.exists() else b"[]") != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)


def _read(path: Path, kind: type[_Record]) -> tuple[_Record, ...]:
    if not path.exists():
        return ()
    return tuple(msgspec.json.decode(path.read_bytes(), type=list[kind]))  # type: ignore[valid-type]
