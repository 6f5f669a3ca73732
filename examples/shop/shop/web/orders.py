"""A member's orders: on the page and as a file."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.export import orders_csv
from shop.orders import find_order, largest_basket, member_orders
from shop.web.context import database_of, required_member, session_of


async def list_orders(request: Request) -> Response:
    """The latest orders and their figures."""
    orders = member_orders(database_of(request), required_member(request).id)
    totals = [order.total_cents for order in orders]
    return JSONResponse(
        {
            "orders": [asdict(order) for order in orders],
            "largest_basket": largest_basket(totals),
        }
    )


async def show_order(request: Request) -> Response:
    """One order of this visit."""
    order_id = request.path_params["id"]
    return JSONResponse(asdict(find_order(database_of(request), order_id, session_of(request).id)))


async def export(request: Request) -> Response:
    """The latest orders as a file."""
    orders = member_orders(database_of(request), required_member(request).id)
    return Response(orders_csv(orders), media_type="text/csv")


routes = (
    Route("/orders", list_orders),
    Route("/orders/{id:int}", show_order),
    Route("/orders/export", export),
)
