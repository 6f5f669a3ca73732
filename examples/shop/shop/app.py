"""The composition root: database, routes and middleware become one ASGI application."""

import contextlib
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware

from shop import seed
from shop.carrier import ExpressDesk
from shop.database import Database
from shop.errors import ShopError
from shop.tax import load_rates
from shop.web import (
    accounts,
    cart,
    catalogue,
    checkout,
    front,
    orders,
    reviews,
    shipping,
)
from shop.web.middleware import SessionMiddleware, answer_shop_error

ROUTES = (
    *front.routes,
    *catalogue.routes,
    *accounts.routes,
    *cart.routes,
    *shipping.routes,
    *reviews.routes,
    *checkout.routes,
    *orders.routes,
)


def create_app(database: Database | None = None) -> Starlette:
    """Return the shop over a database, filled if it is empty; `SHOP_DATABASE` by default."""
    store = database or Database(os.environ.get("SHOP_DATABASE", ":memory:"))
    seed.fill(store)

    @contextlib.asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        yield
        if database is None:
            store.close()

    application = Starlette(
        routes=ROUTES,
        middleware=[Middleware(SessionMiddleware, database=store)],
        exception_handlers={ShopError: answer_shop_error},
        lifespan=lifespan,
    )
    application.state.database = store
    application.state.desk = ExpressDesk()
    application.state.rates = load_rates()
    return application
