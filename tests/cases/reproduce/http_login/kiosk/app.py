from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

BASKETS = {}


class NotLoggedIn(Exception):
    pass


async def login(request):
    user = (await request.json())["user"]
    BASKETS[user] = {"tea": 2}
    response = JSONResponse({"user": user})
    response.set_cookie("user", user)
    return response


def basket_of(request):
    try:
        return BASKETS[request.cookies["user"]]
    except KeyError:
        raise NotLoggedIn from None


async def change(request):
    basket = basket_of(request)
    wanted = await request.json()
    name = request.path_params["name"]
    share = basket[name] / wanted["quantity"]
    basket[name] = wanted["quantity"]
    return JSONResponse({"basket": basket, "share": share})


async def not_logged_in(request, error):
    return JSONResponse({"error": "log in first"}, status_code=401)


def create_app():
    return Starlette(
        routes=[
            Route("/login", login, methods=["POST"]),
            Route("/basket/{name}", change, methods=["PUT"]),
        ],
        exception_handlers={NotLoggedIn: not_logged_in},
    )
