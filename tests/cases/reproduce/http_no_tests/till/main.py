from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def change(request):
    paid = int(request.query_params["paid"])
    return PlainTextResponse(str(paid % int(request.path_params["price"])))


app = Starlette(routes=[Route("/change/{price}", change)])
