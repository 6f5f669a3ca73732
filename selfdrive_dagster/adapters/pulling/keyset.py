"""One table over one connection that only reads: pages by keyset on (updated, key), as Arrow.

Each page asks for what comes after the last row seen, so new rows shift none. Both columns are
compared in their own types and noted as PostgreSQL writes them. Names were checked before they get
here, and values are bound.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry.tables import TableRow

PAGE_ROWS = 5_000
AS_UPDATED, AS_KEY = "selfdrive_updated_", "selfdrive_key_"
SETTINGS = ("default_transaction_read_only = on", "datestyle = 'ISO'", "timezone = 'UTC'",
            "statement_timeout = '10min'")  # fmt: skip
PLAIN = ("boolean", "smallint", "integer", "bigint", "real", "double precision", "bytea")
"""Types whose every value Arrow and Python have too; all others come as text."""
READ = ("json", "jsonb", "numeric")
"""Types whose text is read as JSON, or stays."""

COLUMNS = (
    "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type, "
    "attnotnull AS is_certain FROM pg_attribute "
    "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)


class At(msgspec.Struct, frozen=True):
    """A place in a table: a row's update and key as PostgreSQL writes them, "" if none."""

    updated: str = ""
    key: str = ""


class KeysetTable:
    """A table with a column that says when a row was last updated, and one that says which."""

    def __init__(self, connection: Any, table: str, updated: str, key: str) -> None:
        """Raises BadInput where the table or a column is not there."""
        self._connection = connection
        for setting in SETTINGS:
            self._run(f"SET {setting}")
        self.table = table
        self._name = ".".join(quoted(part) for part in table.split("."))
        found = self._run(COLUMNS, self._name)
        self._types = {row["name"]: row["type"] for row in found}
        self._is_certain = {updated, key} <= {row["name"] for row in found if row["is_certain"]}
        self._check(updated, key)
        self._updated, self._updated_type = quoted(updated), self._types[updated]
        self._key, self._key_type = quoted(key), self._types[key]

    def _check(self, updated: str, key: str) -> None:
        if not self._types:
            raise BadInput(
                f"There is no such table as {self.table}, or we may not see it.",
                remedy="Name it as table=schema.table.",
            )
        for option, column in (("updated", updated), ("key", key)):
            if column not in self._types:
                known = ", ".join(list(self._types)[:20])
                raise BadInput(
                    f"{self.table} has no column {column}.",
                    remedy=f"Name another one with {option}=: it has {known}.",
                )

    def earlier(self, at: At, seconds: int) -> At:
        """Return the place so many seconds before another; the same where updates are no times.

        A row dated in the future must not hide those that come after it: a place is never later
        than the database's clock. Of a date, the whole day is asked for again.
        """
        type_ = self._updated_type
        if not at.updated or not type_.startswith(("timestamp", "date")):
            return at
        known = f"least($1::{type_}, now()::{type_})"
        sql = f"SELECT ({known} - make_interval(secs => {int(seconds)}))::{type_}::text AS at"
        return At(self._run(sql, at.updated)[0]["at"])

    def pages_after(self, at: At) -> Iterator[list[TableRow]]:
        """Yield pages of rows in the order of (updated, key), until none is left."""
        while page := self._page(at):
            yield page
            at = At(page[-1].updated, page[-1].key)

    def _page(self, at: At) -> list[TableRow]:
        after, given = "", list[str]()
        if at.updated and at.key:
            here = f"($1::{self._updated_type}, $2::{self._key_type})"
            after = f"AND ({self._updated}, {self._key}) > {here}"
            given = [at.updated, at.key]
        elif at.updated:
            after, given = f"AND {self._updated} >= $1::{self._updated_type}", [at.updated]
        columns = ", ".join(
            f"{quoted(name)}::{sent_as(type_)} AS {quoted(name)}"
            for name, type_ in self._types.items()
        )
        found = self._run(
            f"SELECT {columns}, {self._updated}::text AS {AS_UPDATED}, "  # noqa: S608
            f"{self._key}::text AS {AS_KEY} FROM {self._name} "
            f"WHERE {self._updated} IS NOT NULL AND {self._key} IS NOT NULL {after} "
            f"ORDER BY {self._updated}, {self._key} LIMIT {PAGE_ROWS}",
            *given,
        )
        return [self._row(row) for row in found]

    def _row(self, row: dict[str, Any]) -> TableRow:
        columns = {
            name: parsed(row[name]) if type_.partition("(")[0] in READ else row[name]
            for name, type_ in self._types.items()
        }
        return TableRow(self.table, row[AS_KEY], row[AS_UPDATED], columns)

    def has_unplaced_rows(self) -> bool:
        """Say whether rows lack the update or the key, so that no page can hold them."""
        if self._is_certain:
            return False
        sql = (
            f"SELECT EXISTS (SELECT 1 FROM {self._name} WHERE {self._updated} IS NULL "  # noqa: S608
            f"OR {self._key} IS NULL) AS found"
        )
        return bool(self._run(sql)[0]["found"])

    def _run(self, sql: str, *given: str) -> list[dict[str, Any]]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql, given or None)
            rows: list[dict[str, Any]] = (
                [] if sql.startswith("SET ") else cursor.fetch_polars().to_dicts()
            )
            return rows


def sent_as(type_: str) -> str:
    """Return the type as which a column is asked for: text where Arrow has none."""
    return type_ if type_ in PLAIN else "text"


def parsed(value: Any) -> Any:
    """Return what a column of JSON or a number holds."""
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError:
        return value


def quoted(name: str) -> str:
    """Return a checked name as SQL writes it."""
    return f'"{name}"'
