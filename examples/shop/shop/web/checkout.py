"""The till."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.checkout import Delivery, place_order
from shop.errors import BadRequest
from shop.parsing import parse_country, parse_donation
from shop.web.context import body_of, database_of, member_of, session_of


async def check_out(request: Request) -> Response:
    """Buy the cart for `recipient` in `country`, with a `donation` if they like."""
    body = await body_of(request)
    member = member_of(request)
    recipient = str(body.get("recipient") or (member.name if member else ""))
    if not recipient:
        raise BadRequest("recipient", "whom may we send it to?")
    delivery = Delivery(
        recipient=recipient,
        country=parse_country(str(body.get("country") or (member.country if member else ""))),
        donation_cents=parse_donation(str(body.get("donation") or "0")),
    )
    order_id, bill = place_order(
        database_of(request), session_of(request), member, delivery, request.app.state.rates
    )
    return JSONResponse({"order": order_id, "total": bill.total, **asdict(bill)}, 201)


routes = (Route("/checkout", check_out, methods=["POST"]),)
