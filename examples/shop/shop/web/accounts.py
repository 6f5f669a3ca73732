"""Signing in and out, and the account page."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.sessions import sign_in, sign_out
from shop.web.context import body_of, database_of, required_member, session_of


async def enter(request: Request) -> Response:
    """Sign in with `email` and `password`."""
    body = await body_of(request)
    email, password = str(body.get("email", "")), str(body.get("password", ""))
    member = sign_in(database_of(request), session_of(request), email, password)
    return JSONResponse(asdict(member))


async def leave(request: Request) -> Response:
    """Sign out."""
    sign_out(database_of(request), session_of(request))
    return JSONResponse({"hello": "guest"})


async def account(request: Request) -> Response:
    """The member's own page."""
    return JSONResponse(asdict(required_member(request)))


routes = (
    Route("/sign-in", enter, methods=["POST"]),
    Route("/sign-out", leave, methods=["POST"]),
    Route("/account", account),
)
