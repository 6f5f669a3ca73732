"""A request that production answered well, as the opt-in recorder tells of it."""

import msgspec

from selfdrive_dagster.model.crashes import HttpRequest


class GoodCall(msgspec.Struct, frozen=True, kw_only=True):
    """A redacted request and the status it was answered with, below 400. The answer stays there."""

    request: HttpRequest
    status: int
