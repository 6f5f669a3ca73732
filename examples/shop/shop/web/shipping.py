"""What shipping would cost."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.cart import cart_lines, weight_grams
from shop.parsing import parse_country
from shop.shipping import estimate
from shop.web.context import database_of, session_of


async def shipping(request: Request) -> Response:
    """Cost and days for the cart, sent to `country`."""
    country = parse_country(request.query_params.get("country", "DE"))
    lines = cart_lines(database_of(request), session_of(request).id)
    return JSONResponse(asdict(estimate(lines, country)))


async def express(request: Request) -> Response:
    """The express carrier's price for the cart, sent to `country`."""
    country = parse_country(request.query_params.get("country", "DE"))
    grams = weight_grams(cart_lines(database_of(request), session_of(request).id))
    return JSONResponse({"cents": request.app.state.desk.quote(country, grams)})


routes = (Route("/shipping", shipping), Route("/shipping/express", express))
