"""Pages of the catalogue."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.catalogue import Search, find_product, page_count, page_of, search
from shop.parsing import parse_page, parse_price
from shop.web.context import database_of


async def list_products(request: Request) -> Response:
    """Search: `q`, `category`, `max_price`, `page`."""
    query = request.query_params
    max_price = query.get("max_price")
    wanted = Search(
        words=query.get("q", ""),
        category=query.get("category", ""),
        max_cents=parse_price(max_price) if max_price else None,
    )
    found = search(database_of(request), wanted)
    shown = page_of(found, parse_page(query.get("page", "1")))
    return JSONResponse(
        {
            "total": len(found),
            "pages": page_count(len(found)),
            "products": [asdict(product) for product in shown],
        }
    )


async def show_product(request: Request) -> Response:
    """One product."""
    product = find_product(database_of(request), request.path_params["id"])
    return JSONResponse(asdict(product))


routes = (Route("/products", list_products), Route("/products/{id:int}", show_product))
