"""Around every request: the visitor's session, and our errors as answers."""

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shop import observability
from shop.database import Database
from shop.errors import ShopError
from shop.sessions import find_session, open_session

COOKIE = "shop_session"


class SessionMiddleware:
    """Finds or opens the visit, tells telemetry, and hands out the cookie once."""

    def __init__(self, app: ASGIApp, database: Database) -> None:
        self._app = app
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = HTTPConnection(scope).cookies.get(COOKIE)
        session = find_session(self._database, given) if given else None
        fresh = None
        if session is None:
            fresh, session = open_session(self._database)
        scope["session"] = session
        observability.identify(session)
        await self._app(scope, receive, _with_cookie(send, fresh) if fresh else send)


def _with_cookie(send: Send, token: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return sending


async def answer_shop_error(_request: Request, error: Exception) -> Response:
    """Answer one of our errors with its status, field and message."""
    if not isinstance(error, ShopError):
        raise error
    return JSONResponse({"field": error.field, "message": error.message}, error.status)
