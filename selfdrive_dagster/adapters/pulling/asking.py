"""Asking an HTTP API for pages: patiently, within bounds, and never elsewhere than at its host.

A redirect is not followed, for the token would go with it. A busy or broken answer is asked for
again; a wait that the server asks for is kept, up to MAX_WAIT_SECONDS.
"""

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from selfdrive_dagster.errors import BadInput, Busy, Refused, SelfdriveError

MAX_BODY_BYTES = 64 * 2**20
TIMEOUT_SECONDS = 60.0
ATTEMPTS = 6
MAX_WAIT_SECONDS = 300.0
GO_ON = "Run the same command again: it goes on where it stopped."


class Unreachable(SelfdriveError):
    """The other side does not answer as it should, after all patience."""


class StaleCursor(SelfdriveError):
    """The API does not know a cursor any more."""


class Page(NamedTuple):
    """One answer: its body, and the cursor of the next page, "" at the end."""

    body: bytes
    next_cursor: str


class _Again(Exception):
    """An answer that may be better next time; `seconds` is the wait it asks for, if any."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Asker:
    """Asks one host with one token; `sleep` waits, in seconds."""

    def __init__(self, host: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._host = host.rstrip("/")
        self._token = token
        self._sleep = sleep
        # To this machine we speak in the clear, and therefore not through a proxy.
        ours = [urllib.request.ProxyHandler({})] if self._host.startswith("http:") else []
        self._opener = urllib.request.build_opener(_NoRedirect, *ours)

    def page(self, path: str, query: Mapping[str, str]) -> Page:
        """Return a page. Raises Refused, BadInput, StaleCursor, Busy or Unreachable."""
        url = f"{self._host}{path}?{urlencode(query)}"
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                return self._ask(url)
            except _Again as again:
                reason = str(again)
                wait = again.seconds if again.seconds is not None else 2.0**attempt
            if wait > MAX_WAIT_SECONDS:
                raise Busy(f"{self._host} asks to wait {wait:,.0f} seconds.", remedy=GO_ON)
            if attempt < ATTEMPTS - 1:
                self._sleep(wait)
        raise Unreachable(f"{self._host} does not answer: {reason}.", remedy=GO_ON)

    def _ask(self, url: str) -> Page:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 (scheme is checked)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                body = answer.read(MAX_BODY_BYTES + 1)
                announced = answer.headers.get("Content-Length", "")
                link = answer.headers.get("Link")
        except urllib.error.HTTPError as error:
            raise self._fault(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Again(str(error) or type(error).__name__) from None
        if len(body) > MAX_BODY_BYTES:
            raise BadInput(
                f"{self._host} answers a page with more than {MAX_BODY_BYTES:,} bytes.",
                remedy="Begin later with since=: an event of this size is not read.",
            )
        if announced.isdigit() and len(body) < int(announced):
            raise _Again("the answer is cut")
        if link is None:
            raise Unreachable(
                f"{self._host} answers without a Link header: there may be more.",
                remedy="Check host=: is it Sentry itself?",
            )
        return Page(body, next_cursor(link))

    def _fault(self, error: urllib.error.HTTPError) -> Exception:
        with error:
            if error.code == 429 or error.code >= 500:
                return _Again(f"status {error.code}", wait_of(error.headers))
            if 300 <= error.code < 400:
                return Unreachable(
                    f"{self._host} leads elsewhere (status {error.code}).",
                    remedy="Name the host that it leads to with host=.",
                )
            faults: dict[int, Exception] = {
                400: StaleCursor(
                    f"{self._host} does not understand what we ask.",
                    remedy="Name a later since=: this server may not keep events for so long.",
                ),
                401: Refused(f"{self._host} does not accept the token.", remedy=TOKEN),
                403: Refused(f"{self._host} does not allow it.", remedy=TOKEN),
                404: BadInput(
                    f"{self._host} knows no such organisation or project.",
                    remedy="Write sentry://organisation/project with their slugs.",
                ),
            }
            return faults.get(
                error.code,
                Unreachable(f"{self._host} answers with status {error.code}.", remedy=GO_ON),
            )


TOKEN = "Put a token with the scope project:read into SENTRY_AUTH_TOKEN."  # noqa: S105
_PART = re.compile(r"<[^>]*>((?:\s*;\s*\w+=\"[^\"]*\")*)")
_SAID = re.compile(r"(\w+)=\"([^\"]*)\"")


def next_cursor(link: str) -> str:
    """Return the cursor of the next page that holds something, "" if none does.

    Of the link only the cursor is used: its address is the server's word, and we stay where we are.
    """
    parts = (dict(_SAID.findall(part)) for part in _PART.findall(link))
    wanted = (p for p in parts if p.get("rel") == "next" and p.get("results") == "true")
    return next((part.get("cursor", "") for part in wanted), "")


def wait_of(headers: Message | Mapping[str, str]) -> float | None:
    """Return the wait in seconds that an answer asks for: `Retry-After`, else Sentry's own word."""
    wait = seconds_of(headers.get("Retry-After"))
    reset = headers.get("X-Sentry-Rate-Limit-Reset", "")
    if wait is not None or not reset.isdigit() or len(reset) > 12:
        return wait
    return max(1.0, int(reset) - time.time())


def seconds_of(retry_after: str | None) -> float | None:
    """Return the wait that `Retry-After` asks for, in seconds; None if it asks for none."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
