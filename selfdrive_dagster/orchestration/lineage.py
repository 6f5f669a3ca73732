"""Column lineage of the models, as Dagster shows it: read from the SQL once, then from the home.

Each run loads the definitions anew, and to read the lineage from the SQL takes most of a second of
it. Belongs here: keeping and turning it. Does not belong: reading SQL (`warehouse.portable`).
"""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import msgspec

from selfdrive_dagster.adapters.warehouse.live import write_file
from selfdrive_dagster.adapters.warehouse.models import SqlModel
from selfdrive_dagster.adapters.warehouse.portable import lineage_of
from selfdrive_dagster.adapters.warehouse.portable.lineage import Origin
from selfdrive_dagster.adapters.warehouse.tables import ROW_TYPES
from selfdrive_dagster.config import home_path
from selfdrive_dagster.model import digest

KEPT = "lineage.json"

Columns = dict[str, tuple[Origin, ...]]
"""Column of a model → the columns it is made from."""


class _Kept(msgspec.Struct, frozen=True):
    """What was read, and from what: another model, table or sqlglot is another `read_from`."""

    read_from: str
    models: dict[str, Columns]


def lineage_by_model(
    models: Sequence[SqlModel], stages: Mapping[str, str]
) -> dict[str, dg.TableColumnLineage]:
    """Return each model's lineage, told with its definition: each event would repeat it."""
    columns = {name: list(kind.__struct_fields__) for name, kind in ROW_TYPES.items()}
    queries = [(model.name, model.sql) for model in models]
    read_from = digest(msgspec.json.encode([version("sqlglot"), queries, columns]))
    place = home_path(os.environ) / KEPT
    kept = _read(place)
    if kept is None or kept.read_from != read_from:
        kept = _Kept(read_from, lineage_of(queries, columns))
        if place.parent.is_dir():
            write_file(place, msgspec.json.encode(kept), durable=False)
    return {name: _shown(told, stages) for name, told in kept.models.items()}


def _read(place: Path) -> _Kept | None:
    """Return what was kept, None where there is nothing or it is damaged: it is made again."""
    try:
        return msgspec.json.decode(place.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return None


def _shown(columns: Columns, stages: Mapping[str, str]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(dg.AssetKey([stages[of], of]), column) for of, column in origins
            ]
            for name, origins in columns.items()
        }
    )
