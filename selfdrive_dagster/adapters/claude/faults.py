"""Faults: what the SDK raises, as named results. An ordered table; the first row that fits counts.

A request that the service turned down with a 4xx is free for certain, as is one that it sent
elsewhere, where we do not follow. Of all else that was sent, a 5xx too, nobody knows, so the
caller charges what was reserved.
"""

import email.utils
import time
from collections.abc import Callable
from typing import NamedTuple

import anthropic

from selfdrive_dagster.adapters.claude.capped import ReplyTooLarge
from selfdrive_dagster.model import Result
from selfdrive_dagster.patches.asking.clean import plain
from selfdrive_dagster.patches.asking.questions import Answer

NO_MONEY = frozenset(
    (
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "linked_organization_billing_unavailable",
        "organization_on_hold",
        "user_profile_not_billable",
        "user_profile_billing_not_authorized",
    )
)
"""The service's stable codes for "you may spend no more": asking again cannot help."""

OWN_LIMIT = ("You have reached your specified API usage limits",
             "You have reached your specified workspace API usage limits")  # fmt: skip
"""A limit that the owner set there comes as a 400 without a code, known by how it begins."""

GAVE_UP = frozenset((408, 499))
"""Something on the way stopped waiting: what stands behind it may have answered all the same."""
MOST_SAID = 200


class Row(NamedTuple):
    """A result, and when an error of the service means it."""

    result: Result
    means: Callable[[anthropic.APIStatusError], bool]


def _is(*kinds: str) -> Callable[[anthropic.APIStatusError], bool]:
    return lambda error: str(error.type) in kinds


def _status(*codes: int) -> Callable[[anthropic.APIStatusError], bool]:
    return lambda error: error.status_code in codes


def _told(error: anthropic.APIStatusError) -> str:
    return error.api_message if isinstance(error.api_message, str) else ""


ROWS = (
    Row(Result.SPEND_LIMIT, lambda error: error.error_code in NO_MONEY),
    Row(Result.SPEND_LIMIT, lambda error: _told(error).startswith(OWN_LIMIT)),
    Row(Result.SPEND_LIMIT, _status(402)),
    Row(Result.SPEND_LIMIT, _is("billing_error")),
    Row(Result.RATE_LIMITED, _status(429)),
    Row(Result.OVERLOADED, _status(529)),
    Row(Result.TIMED_OUT, _status(408, 504)),
    Row(Result.NOT_ALLOWED, _status(401, 403)),
    Row(Result.TOO_LARGE, _status(413)),
    Row(Result.REJECTED, lambda error: 300 <= error.status_code < 500),
    Row(Result.RATE_LIMITED, _is("rate_limit_error")),
    Row(Result.OVERLOADED, _is("overloaded_error")),
    Row(Result.TIMED_OUT, _is("timeout_error", "gateway_timeout_error")),
    Row(Result.SERVER_FAULT, lambda error: True),
)
"""Errors in the middle of a stream come with status 200: there the type tells."""


def of_error(error: Exception) -> Answer:
    """Return the answer that an error of a call stands for."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ReplyTooLarge):
            return Answer(result=Result.TOO_LARGE, says="the reply is longer than any answer")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, anthropic.APIStatusError):
        return _of_status(error)
    if isinstance(error, anthropic.APITimeoutError):
        return Answer(result=Result.TIMED_OUT, says="no byte came in time")
    if isinstance(error, anthropic.APIConnectionError):
        return _of_connection(error)
    return _of_reading(error)


def of_opening(error: Exception) -> Answer:
    """Return the answer where not even a client came about: nothing was sent."""
    says = plain(f"{type(error).__name__}: {error}")[:MOST_SAID]
    return Answer(result=Result.UNREACHABLE, says=says, is_free=True)


def _of_status(error: anthropic.APIStatusError) -> Answer:
    result = next(row.result for row in ROWS if row.means(error))
    code = f" ({error.error_code})" if error.error_code else ""
    return Answer(
        result=result,
        says=f"{error.status_code} {error.type or ''}{code}: {plain(_told(error))}"[:MOST_SAID],
        request_id=str(error.request_id or ""),
        is_free=300 <= error.status_code < 500 and error.status_code not in GAVE_UP,
        retry_after=retry_after(error.response.headers.get("retry-after", "")),
    )


def _of_connection(error: anthropic.APIConnectionError) -> Answer:
    """A connection that never came about sent nothing; of a broken one nobody knows."""
    import httpx2

    free = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
    result = Result.UNREACHABLE if free else Result.CUT_STREAM
    says = plain(str(error.__cause__ or error))[:MOST_SAID]
    return Answer(result=result, says=says, is_free=free)


def _of_reading(error: Exception) -> Answer:
    """While a stream is read the HTTP library's own errors come through."""
    import httpx2

    said = plain(f"{type(error).__name__}: {error}")[:MOST_SAID]
    if isinstance(error, httpx2.TimeoutException):
        return Answer(result=Result.TIMED_OUT, says=said)
    if isinstance(error, httpx2.TransportError):
        return Answer(result=Result.CUT_STREAM, says=said)
    return Answer(result=Result.GARBLED, says=said)


def retry_after(header: str) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date; None without a sound one."""
    try:
        return float(header)
    except ValueError:
        when = email.utils.parsedate_tz(header)
    return None if when is None else max(0.0, email.utils.mktime_tz(when) - time.time())
