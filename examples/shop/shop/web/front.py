"""The front door and the health check."""

import os

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.web.context import member_of


async def welcome(request: Request) -> Response:
    """Greet the visitor."""
    member = member_of(request)
    return JSONResponse({"shop": "Tea & Toast", "hello": member.name if member else "guest"})


async def health(_request: Request) -> Response:
    """Say that we are up, and which commit runs."""
    return JSONResponse({"status": "ok", "release": os.environ.get("SHOP_RELEASE", "unknown")})


routes = (Route("/", welcome), Route("/health", health))
