"""Visits and accounts: who is looking, and whether we know them."""

import hashlib
import secrets
import sqlite3

from shop.database import Database
from shop.errors import NotSignedIn
from shop.models import Member, Session
from shop.passwords import password_fits


def session_id(token: str) -> str:
    """Return the id under which a cookie's session is stored and logged."""
    return hashlib.sha256(token.encode()).hexdigest()[:24]


def find_session(database: Database, token: str) -> Session | None:
    """Return the session of a cookie, None if we never gave it out."""
    row = database.row("SELECT id, member_id FROM sessions WHERE id = ?", session_id(token))
    return None if row is None else Session(id=row["id"], member_id=row["member_id"])


def open_session(database: Database) -> tuple[str, Session]:
    """Return a fresh cookie and its session."""
    token = secrets.token_urlsafe(24)
    session = Session(id=session_id(token), member_id=None)
    database.execute("INSERT INTO sessions (id) VALUES (?)", session.id)
    return token, session


def find_member(database: Database, member_id: int | None) -> Member | None:
    """Return a session's member, None for a guest."""
    if member_id is None:
        return None
    row = database.row("SELECT * FROM members WHERE id = ?", member_id)
    return None if row is None else _member(row)


def sign_in(database: Database, session: Session, email: str, password: str) -> Member:
    """Bind a session to the member with this address. Raises NotSignedIn."""
    row = database.row("SELECT * FROM members WHERE email = ?", email)
    if row is None or not password_fits(password, row["password"], salt=email.encode()):
        raise NotSignedIn("email", "address and password do not fit")
    database.execute("UPDATE sessions SET member_id = ? WHERE id = ?", row["id"], session.id)
    return _member(row)


def sign_out(database: Database, session: Session) -> None:
    """Make the session a guest's again."""
    database.execute("UPDATE sessions SET member_id = NULL WHERE id = ?", session.id)


def _member(row: sqlite3.Row) -> Member:
    return Member(**{field: row[field] for field in ("id", "name", "country", "tier", "favourite")})
