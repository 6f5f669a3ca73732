"""Database addresses: one spelling for Dagster and for us, and no password in any message.

SQLAlchemy 2.1 takes `postgresql://` for psycopg 3 while Dagster brings psycopg2, so every
address becomes `postgresql+psycopg2://` once, here. Does not belong here: the embedded server.
"""

import psycopg2
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from selfdrive_dagster.errors import BadInput, SelfdriveError

DRIVER = "postgresql+psycopg2"
FAMILY = ("postgres", "postgresql")
VARIABLE = "SELFDRIVE_DATABASE_URL"
CONNECT_SECONDS = 5


class DatabaseUnreachable(SelfdriveError):
    """A real server that was named does not let us in."""

    exit_code = 5


def normalised(url: str) -> str:
    """Return an address as `postgresql+psycopg2://…`, whatever driver it was written for.

    Raises BadInput for what is no address of a PostgreSQL database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the message would repeat the address, and its password
        raise BadInput(f"{VARIABLE} cannot be read as an address.", remedy=EXAMPLE) from None
    if parsed.drivername.partition("+")[0] not in FAMILY:
        raise BadInput(f"{VARIABLE} names {parsed.drivername}, not PostgreSQL.", remedy=EXAMPLE)
    if not parsed.database:
        raise BadInput(f"{VARIABLE} names no database: {shown(url)}", remedy=EXAMPLE)
    return plain(password_in_its_place(parsed).set(drivername=DRIVER))


def shown(url: str) -> str:
    """Return an address fit for people's eyes: the password is hidden."""
    return password_in_its_place(make_url(url)).render_as_string(hide_password=True)


def plain(url: URL) -> str:
    """Return the address in full, password included: for programs only."""
    return url.render_as_string(hide_password=False)


def password_in_its_place(url: URL) -> URL:
    """Move a password out of the query (`?password=…`), where nothing would hide it."""
    password = url.query.get("password")
    if isinstance(password, str):
        return url.difference_update_query(["password"]).set(password=password)
    return url


def require_reachable(url: str) -> None:
    """Connect once. Raises DatabaseUnreachable with the server's reason and no password."""
    parsed = make_url(url)
    try:
        psycopg2.connect(
            plain(parsed.set(drivername="postgresql")), connect_timeout=CONNECT_SECONDS
        ).close()
    except psycopg2.Error as fault:
        reason = " ".join(str(fault).split())
        if isinstance(parsed.password, str) and parsed.password:
            reason = reason.replace(parsed.password, "***")
        raise DatabaseUnreachable(
            f"The database {shown(url)} does not let us in: {reason}",
            remedy=f"Start it, or mend {VARIABLE}; unset it to use the embedded PostgreSQL.",
        ) from None


EXAMPLE = "Write it like postgresql://user:password@host:5432/selfdrive"
