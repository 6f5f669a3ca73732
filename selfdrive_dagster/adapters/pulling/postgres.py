"""A table's new rows out of PostgreSQL: which table, and how far a pull came.

A transaction that began before ours and commits after it writes an `updated_at` that we are past:
each pull begins `overlap` earlier than the last one ended, and what is known counts once. A
transaction that is open for longer loses its rows for us: raise `overlap` for such a table. How a
page is asked for is `keyset`'s.
"""

import importlib
import re
from contextlib import closing
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

from selfdrive_dagster.adapters.pulling.asking import GO_ON, Unreachable
from selfdrive_dagster.adapters.pulling.keyset import At, KeysetTable
from selfdrive_dagster.adapters.pulling.places import Places, address
from selfdrive_dagster.adapters.pulling.taking import Taker
from selfdrive_dagster.errors import BadInput, MissingTool
from selfdrive_dagster.telemetry import Records
from selfdrive_dagster.telemetry.tables import decode_rows

OVERLAP_SECONDS = 600
EXAMPLE = "Write postgresql://user@host/database?table=events."
OURS = ("table", "updated", "key", "service", "overlap")
_NAME = re.compile(r"[^\W\d][\w$]{0,62}\Z")


class PostgresSource(msgspec.Struct, frozen=True, kw_only=True):
    """One table of one database. `url` may hold a password: it is shown to nobody."""

    url: str
    shown: str
    identity: tuple[str, ...]
    service_name: str
    table: str
    updated: str
    key: str
    overlap_seconds: int

    @classmethod
    def parse(cls, text: str) -> "PostgresSource":
        """Read `postgresql://…?table=…`; what is not ours goes to libpq. Raises BadInput."""
        parts = address(text, EXAMPLE)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        ours = {name: query.pop(name) for name in OURS if name in query}
        database = unquote(parts.path.strip("/"))
        if not ours.get("table") or not database:
            raise BadInput("The source names no table and database.", remedy=EXAMPLE)
        overlap = ours.get("overlap", str(OVERLAP_SECONDS))
        if not (overlap.isascii() and overlap.isdigit()) or len(overlap) > 7:
            raise BadInput(f"overlap={overlap[:40]} is no number of seconds.", remedy=EXAMPLE)
        table = ".".join(_checked(name) for name in ours["table"].split(".", 1))
        columns = (_checked(ours.get("updated", "updated_at")), _checked(ours.get("key", "id")))
        host = parts.netloc.rpartition("@")[2] or query.get("host", "")
        return cls(
            url=parts._replace(query=urlencode(query)).geturl(),
            shown=f"postgresql://{host}/{database}?table={table}",
            identity=("postgresql", host, query.get("port", ""), database, table, *columns),
            service_name=ours.get("service") or database,
            table=table,
            updated=columns[0],
            key=columns[1],
            overlap_seconds=int(overlap),
        )

    def __repr__(self) -> str:
        return f"PostgresSource({self.shown!r})"


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise BadInput(
            f"{name[:80]!r} is no name of a table or column.",
            remedy="Write it as PostgreSQL holds it: letters, digits, _ and $.",
        )
    return name


def pull_postgres(source: PostgresSource, taker: Taker, places: Places) -> None:
    """Take every row that was updated since the last pull, less the overlap."""
    from polars.exceptions import PolarsError

    at = places.read(At, *source.identity)
    dbapi = _driver()
    try:
        with closing(dbapi.connect(source.url, autocommit=True)) as connection:
            table = KeysetTable(connection, source.table, source.updated, source.key)
            for page in table.pages_after(table.earlier(at, source.overlap_seconds)):
                taker.take("events", partial(decode_rows, page))
                places.keep(At(page[-1].updated, page[-1].key), *source.identity)
            if table.has_unplaced_rows():
                lost = f"{source.table} has rows without {source.updated} or {source.key}"
                taker.take("events", lambda _: Records(rejected=(f"{lost}: they are not pulled",)))
    except (dbapi.Error, PolarsError) as error:  # the driver fails while polars reads its stream
        raise Unreachable(f"{source.shown}: {_told(error, source)}.", remedy=GO_ON) from None


def _driver() -> Any:
    try:
        return importlib.import_module("adbc_driver_postgresql.dbapi")
    except ImportError:
        raise MissingTool(
            "Pulling from PostgreSQL needs the ADBC driver.",
            remedy="pip install 'selfdrive-dagster[postgresql]'",
        ) from None


def _told(error: Exception, source: PostgresSource) -> str:
    """Return what went wrong, without the password that a driver may quote."""
    parts = urlsplit(source.url)
    passwords = {parts.password or "", dict(parse_qsl(parts.query)).get("password", "")}
    text = str(error).strip().partition("\n")[0][:300].rstrip(".")
    for secret in passwords | {unquote(one) for one in passwords}:
        text = text.replace(secret, "[secret]") if secret else text
    return text
