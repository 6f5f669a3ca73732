"""Every fault that the stand-in can make, by the name that a script uses.

Three kinds: an answer that is wrong in itself, an error with a status, and a stream that breaks.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from selfdrive_dagster.adapters.claude.standin.wire import Said, error, event, events

DRIP_SECONDS = 0.05
LONGEST_SECONDS = 900.0
TEN_MEGABYTES = 10 * 2**20


class Wrong(NamedTuple):
    """An answer in the wire's form whose content is at fault."""

    text: str | None = None
    stop: str = "end_turn"
    model: str = ""


class Status(NamedTuple):
    """An error with a status, and how long to wait or where to go as the headers say."""

    status: int
    kind: str
    says: str
    code: str = ""
    retry_after: str = ""
    location: str = ""


class Broken(NamedTuple):
    """A stream that goes wrong. With `breaks` the connection closes before the body's end."""

    stream: Callable[[Said, int], Iterator[bytes]]
    breaks: bool = False


def _edits(path: str, search: str) -> str:
    edit = {"path": path, "search": search, "replace": "nothing\n"}
    draft = {"explanation": "none", "invents": "nothing", "edits": [edit]}
    return json.dumps({"drafts": [draft]})


def _cut(said: Said, number: int) -> Iterator[bytes]:
    yield from list(events(said, number))[:-2]


def _torn(said: Said, number: int) -> Iterator[bytes]:
    yield b"".join(events(said, number))[:-90]


def _drip(said: Said, number: int) -> Iterator[bytes]:
    yield next(events(said, number))
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        time.sleep(DRIP_SECONDS)
        yield event("ping", {})


def _silence(said: Said, number: int) -> Iterator[bytes]:
    yield next(events(said, number))
    time.sleep(LONGEST_SECONDS)


def _overloaded(said: Said, number: int) -> Iterator[bytes]:
    yield next(events(said, number))
    yield event("error", error("overloaded_error", "Overloaded", number))


def _garbled(said: Said, number: int) -> Iterator[bytes]:
    yield next(events(said, number))
    yield b"event: content_block_delta\ndata: {this is no JSON\n\n"


def _long(said: Said, number: int) -> Iterator[bytes]:
    yield next(events(said, number))
    delta = {"type": "text_delta", "text": "x" * TEN_MEGABYTES}
    yield event("content_block_delta", {"index": 0, "delta": delta})


def _page(_said: Said, _number: int) -> Iterator[bytes]:
    yield b"<html><body>Welcome to this network, please sign in.</body></html>"


def _no_usage(said: Said, number: int) -> Iterator[bytes]:
    yield from events(said._replace(usage={}), number)


def _in_one_country(said: Said, number: int) -> Iterator[bytes]:
    yield from events(said._replace(usage={**said.usage, "inference_geo": "us"}), number)


WAIT = "Number of requests has exceeded your rate limit"

FAULTS: dict[str, Wrong | Status | Broken] = {
    "refusal": Wrong(text="", stop="refusal"),
    "max_tokens": Wrong(text='{"drafts": [{"explanation": "the cause is', stop="max_tokens"),
    "context_window": Wrong(text="", stop="model_context_window_exceeded"),
    "tool_use": Wrong(stop="tool_use"),
    "empty": Wrong(text=""),
    "malformed": Wrong(text="Sure! Here is the patch: {"),
    "wrong_schema": Wrong(text='{"patches": ["--- a/x.py"]}'),
    "bad_edit": Wrong(text=_edits("shop/shipping.py", "a line that stands nowhere\n")),
    "wrong_file": Wrong(text=_edits("tests/test_shipping.py", "def ")),
    "other_model": Wrong(model="claude-somebody-else"),
    "rate_limited": Status(429, "rate_limit_error", WAIT),
    "rate_limited_wait": Status(429, "rate_limit_error", WAIT, retry_after="1"),
    "rate_limited_hour": Status(429, "rate_limit_error", WAIT, retry_after="3600"),
    "ramp_limit": Status(429, "rate_limit_error", WAIT, "ramp_limit_exceeded", "1"),
    "spend_limit": Status(429, "rate_limit_error", "Limit", "enforced_spend_limit_reached"),
    "contract_limit": Status(429, "rate_limit_error", "Limit", "contract_spend_limit_reached"),
    "own_limit": Status(
        400, "invalid_request_error", "You have reached your specified API usage limits. …"
    ),
    "billing": Status(402, "billing_error", "There is an issue with your billing"),
    "no_permission": Status(403, "permission_error", "Not for this key"),
    "wrong_key": Status(401, "authentication_error", "invalid x-api-key"),
    "unknown_model": Status(404, "not_found_error", "model: claude-nobody"),
    "moved": Status(307, "api_error", "Moved", location="/v1/elsewhere"),
    "gave_up": Status(408, "timeout_error", "The client was too slow"),
    "request_too_large": Status(413, "request_too_large", "Request exceeds the maximum size"),
    "server_fault": Status(500, "api_error", "Internal server error"),
    "gateway_timeout": Status(504, "timeout_error", "The request took too long"),
    "overloaded": Status(529, "overloaded_error", "Overloaded"),
    "overloaded_in_stream": Broken(_overloaded),
    "cut_stream": Broken(_cut, breaks=True),
    "torn_event": Broken(_torn, breaks=True),
    "ended_early": Broken(_cut),
    "slow_drip": Broken(_drip),
    "silence": Broken(_silence),
    "garbled": Broken(_garbled),
    "ten_megabytes": Broken(_long),
    "sign_in_page": Broken(_page),
    "no_usage": Broken(_no_usage),
    "in_one_country": Broken(_in_one_country),
}
