"""The SQLite file: schema, and three short ways to ask. No SQL of the features lives here."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    id INTEGER PRIMARY KEY, slug TEXT UNIQUE, name TEXT, category TEXT,
    cents INTEGER, grams INTEGER, stock INTEGER);
CREATE TABLE IF NOT EXISTS members (
    id INTEGER PRIMARY KEY, email TEXT UNIQUE, password BLOB, name TEXT,
    country TEXT, tier TEXT, favourite TEXT);
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, member_id INTEGER, voucher TEXT);
CREATE TABLE IF NOT EXISTS cart_items (
    session_id TEXT, product_id INTEGER, quantity INTEGER, PRIMARY KEY (session_id, product_id));
CREATE TABLE IF NOT EXISTS vouchers (code TEXT PRIMARY KEY, percent INTEGER, from_cents INTEGER);
CREATE TABLE IF NOT EXISTS reviews (
    id INTEGER PRIMARY KEY, product_id INTEGER, member_id INTEGER, rating INTEGER,
    text TEXT, written TEXT);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, session_id TEXT, member_id INTEGER, recipient TEXT, country TEXT,
    total_cents INTEGER, tax_cents INTEGER, points INTEGER, placed TEXT);
CREATE TABLE IF NOT EXISTS order_items (order_id INTEGER, product_id INTEGER, quantity INTEGER);
CREATE INDEX IF NOT EXISTS orders_of_member ON orders (member_id);
CREATE INDEX IF NOT EXISTS reviews_of_product ON reviews (product_id);
"""


class Database:
    """One SQLite connection. `path` may be ":memory:"."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        # Two releases may serve at once: neither waits for the other's reads, or for the disk.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """Return the first row of a query, None if there is none."""
        found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def execute(self, sql: str, *values: object) -> int:
        """Run a statement and return the id of the row it inserted, if it inserted one."""
        return self._connection.execute(sql, values).lastrowid or 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of it or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
