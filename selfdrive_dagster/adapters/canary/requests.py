"""What is read of a request. The proxy's log gives them; a test or a simulation may as well."""

from datetime import datetime, timedelta
from typing import Protocol


class Request(Protocol):
    """One request of a visitor.

    `at` is when it arrived, `seconds` later `arm` had answered it with `status`. `session` is a
    digest, "" when the visitor sent none; `assigned` is the arm that had been drawn for the
    visitor before, "" for none. The two differ where the proxy left out an arm that was down.
    """

    @property
    def at(self) -> datetime: ...  # noqa: D102 - see the class

    @property
    def arm(self) -> str: ...  # noqa: D102

    @property
    def change_id(self) -> str: ...  # noqa: D102

    @property
    def session(self) -> str: ...  # noqa: D102

    @property
    def assigned(self) -> str: ...  # noqa: D102

    @property
    def status(self) -> int: ...  # noqa: D102

    @property
    def seconds(self) -> float: ...  # noqa: D102


def answered(request: Request) -> datetime:
    """Return when a request was answered, which is when the proxy writes it down."""
    return request.at + timedelta(seconds=request.seconds)
