"""The cart's page and buttons."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.cart import cart_lines, put_in_cart, subtotal_cents, take_from_cart
from shop.discounts import discount_cents, find_voucher, keep_voucher, kept_voucher
from shop.errors import BadRequest
from shop.parsing import parse_quantity
from shop.web.context import body_of, database_of, session_of


async def show_cart(request: Request) -> Response:
    """What lies in the cart, and what it costs."""
    database, session = database_of(request), session_of(request)
    lines = cart_lines(database, session.id)
    subtotal = subtotal_cents(lines)
    return JSONResponse(
        {
            "lines": [{**asdict(line), "cents": line.cents} for line in lines],
            "subtotal": subtotal,
            "discount": discount_cents(subtotal, kept_voucher(database, session)),
        }
    )


async def add_item(request: Request) -> Response:
    """Put `quantity` of `product_id` in the cart."""
    body = await body_of(request)
    product_id = body.get("product_id")
    if not isinstance(product_id, int):
        raise BadRequest("product_id", "give a product's number")
    quantity = parse_quantity(str(body.get("quantity", 1)))
    put_in_cart(database_of(request), session_of(request).id, product_id, quantity)
    return await show_cart(request)


async def remove_item(request: Request) -> Response:
    """Take a product out."""
    take_from_cart(database_of(request), session_of(request).id, request.path_params["id"])
    return await show_cart(request)


async def add_voucher(request: Request) -> Response:
    """Use the voucher `code`."""
    body = await body_of(request)
    voucher = find_voucher(database_of(request), str(body.get("code", "")))
    keep_voucher(database_of(request), session_of(request), voucher)
    return await show_cart(request)


routes = (
    Route("/cart", show_cart),
    Route("/cart/items", add_item, methods=["POST"]),
    Route("/cart/items/{id:int}", remove_item, methods=["DELETE"]),
    Route("/cart/voucher", add_voucher, methods=["POST"]),
)
