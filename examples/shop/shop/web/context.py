"""What handlers ask of a request: the database, the visitor, a JSON body."""

import json
from typing import Any, cast

from starlette.requests import Request

from shop.database import Database
from shop.errors import BadRequest, NotSignedIn
from shop.models import Member, Session
from shop.sessions import find_member


def database_of(request: Request) -> Database:
    """Return the application's database."""
    return cast(Database, request.app.state.database)


def session_of(request: Request) -> Session:
    """Return the visit that the middleware found or opened."""
    return cast(Session, request.scope["session"])


def member_of(request: Request) -> Member | None:
    """Return the signed-in member, None for a guest."""
    return find_member(database_of(request), session_of(request).member_id)


def required_member(request: Request) -> Member:
    """Return the signed-in member. Raises NotSignedIn for a guest."""
    member = member_of(request)
    if member is None:
        raise NotSignedIn("session", "please sign in first")
    return member


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body. Raises BadRequest."""
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise BadRequest("body", "send JSON") from error
    if not isinstance(body, dict):
        raise BadRequest("body", "send a JSON object")
    return body
