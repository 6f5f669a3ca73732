"""What is read of a request. The proxy's log gives them; a test or a simulation may as well."""

from datetime import datetime, timedelta
from typing import Protocol


class Request(Protocol):
    """One request of a visitor.

    `at` is when it arrived, `seconds` later it was answered with `status`. `session` is a digest,
    "" when the visitor sent none; `has_arm_cookie` says whether an arm had been drawn before.
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
    def has_arm_cookie(self) -> bool: ...  # noqa: D102

    @property
    def status(self) -> int: ...  # noqa: D102

    @property
    def seconds(self) -> float: ...  # noqa: D102


def answered(request: Request) -> datetime:
    """Return when a request was answered, which is when the proxy writes it down."""
    return request.at + timedelta(seconds=request.seconds)
