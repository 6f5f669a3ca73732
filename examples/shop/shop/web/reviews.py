"""Reading and writing reviews."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shop.catalogue import find_product
from shop.errors import BadRequest
from shop.parsing import parse_rating
from shop.reviews import product_reviews, summarise, write_review
from shop.web.context import body_of, database_of, required_member

MAX_TEXT = 400


async def list_reviews(request: Request) -> Response:
    """A product's reviews and their figures."""
    database, product_id = database_of(request), request.path_params["id"]
    find_product(database, product_id)
    reviews = [asdict(review) for review in product_reviews(database, product_id)]
    return JSONResponse({**summarise(database, product_id), "reviews": reviews})


async def post_review(request: Request) -> Response:
    """Write a review: `rating`, and `text` if there is more to say."""
    member = required_member(request)
    product = find_product(database_of(request), request.path_params["id"])
    body = await body_of(request)
    text = body.get("text") or ""
    if len(text) > MAX_TEXT:
        raise BadRequest("text", f"at most {MAX_TEXT} characters, please")
    rating = parse_rating(str(body.get("rating")))
    review = write_review(database_of(request), member, product.id, rating, text)
    return JSONResponse(asdict(review), 201)


routes = (
    Route("/products/{id:int}/reviews", list_reviews, methods=["GET"]),
    Route("/products/{id:int}/reviews", post_review, methods=["POST"]),
)
