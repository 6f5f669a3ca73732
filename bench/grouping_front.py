"""The door of a product: how its callers reach it. Copied into each product as `front.py`."""

import asyncio
from collections.abc import Callable
from typing import Any

Call = Callable[[], Any]


class RequestFailed(Exception):
    """What the product's door makes of an error inside."""


def handle(call: Call) -> Any:
    """Call at once."""
    return call()


def handle_awaited(call: Call) -> Any:
    """Call within an event loop."""

    async def serve() -> Any:
        return call()

    async def turn() -> Any:
        return await asyncio.create_task(serve())

    return asyncio.run(turn())


def handle_in_group(call: Call) -> Any:
    """Call as one task of several."""

    async def serve() -> Any:
        await asyncio.sleep(0)
        return call()

    async def turn() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            group.create_task(serve())

    return asyncio.run(turn())


def handle_chained(call: Call) -> Any:
    """Raise an error of the door's own from what went wrong."""
    try:
        return call()
    except Exception as error:
        raise RequestFailed("the request failed") from error


WAYS = (
    ("called", handle),
    ("awaited", handle_awaited),
    ("grouped", handle_in_group),
    ("chained", handle_chained),
)
