"""The client: one question over Anthropic's SDK, and always an answer within a deadline.

The SDK's own retries are off: each time costs money, so each is the caller's decision. The call
runs in a thread of its own, since no timeout of the SDK bounds a whole reply: a server that drips
a byte now and then would keep us for ever.
"""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from selfdrive_dagster.model import Result, Usage
from selfdrive_dagster.patches.asking.questions import Answer, Question

if TYPE_CHECKING:
    import anthropic

KEY = "ANTHROPIC_API_KEY"
BASE_URL = "ANTHROPIC_BASE_URL"
API = "https://api.anthropic.com"
SECONDS = 240.0
SILENCE_SECONDS = 60.0
CONNECT_SECONDS = 10.0

STOPS = {
    "end_turn": Result.ANSWERED,
    "max_tokens": Result.CUT_AT_MAX_TOKENS,
    "model_context_window_exceeded": Result.CUT_AT_MAX_TOKENS,
    "refusal": Result.REFUSED,
}
"""What a reply's stop reason means; any other one is unexpected, since there are no tools."""

PRICED = {
    "inference_geo": (None, "", "global", "not_available"),
    "service_tier": (None, "standard"),
    "speed": (None, "standard"),
}
"""What a reply may say of how it was served. Else it costs another price than ours: a workspace
can have all of its requests served in one country, which is dearer."""


class Client:
    """Asks Anthropic's API, or whatever speaks it at ANTHROPIC_BASE_URL."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        seconds: float = SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._key, self._base_url = environ.get(KEY, ""), environ.get(BASE_URL) or None
        self._seconds, self._silence = seconds, silence_seconds

    def ask(self, question: Question) -> Answer:
        """Ask once. Every fault is a named result; nothing is raised."""
        if not self._key:
            return Answer(result=Result.NO_KEY, says=f"{KEY} is not set", is_free=True)
        call = _Call(question, self._open)
        thread = threading.Thread(target=call.run, name="asks Claude", daemon=True)
        thread.start()
        thread.join(self._seconds)
        if thread.is_alive():
            call.give_up()
            says = f"no whole answer came in {self._seconds:g} s"
            return Answer(result=Result.TOO_SLOW, says=says, request_id=call.request_id)
        return call.answer

    def _open(self) -> "anthropic.Anthropic":
        import anthropic
        import httpx2

        from selfdrive_dagster.adapters.claude.capped import CappedTransport

        timeout = httpx2.Timeout(self._silence, connect=CONNECT_SECONDS)
        return anthropic.Anthropic(
            api_key=self._key,
            base_url=self._base_url,
            max_retries=0,
            timeout=timeout,
            http_client=anthropic.DefaultHttpxClient(
                timeout=timeout,
                transport=CappedTransport(proxy=proxy_for(self._base_url or API)),
                follow_redirects=False,  # prompt and key go where they were sent, nowhere else
            ),
        )


def proxy_for(url: str) -> str | None:
    """Return the proxy that this machine's environment names for an address, None for none.

    The HTTP library asks for itself only where nobody hands it a transport.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    known = getproxies()
    return known.get(parts.scheme) or known.get("all")


class _Call:
    """One call in its thread. `answer` is there once the thread has ended."""

    def __init__(self, question: Question, open_client: Any) -> None:
        self._question, self._open = question, open_client
        self._over = threading.Event()
        self.request_id = ""
        self.answer = Answer(result=Result.GARBLED, says="the call ended without an answer")

    def give_up(self) -> None:
        """Let the thread end at the next thing that it hears."""
        self._over.set()

    def run(self) -> None:
        """Ask, and keep what came of it."""
        from selfdrive_dagster.adapters.claude.faults import of_error, of_opening

        try:
            opened = self._open()
        except Exception as error:  # a proxy's address that is none, a broken installation
            self.answer = of_opening(error)
            return
        try:
            with opened as client:
                self.answer = self._streamed(client)
        except Exception as error:  # whatever a library does, a change must not be wedged by it
            self.answer = of_error(error)

    def _streamed(self, client: "anthropic.Anthropic") -> Answer:
        stopped = False
        with client.messages.stream(**_parameters(self._question)) as stream:
            self.request_id = stream.request_id or ""
            for event in stream:
                stopped = stopped or event.type == "message_stop"
                if self._over.is_set():
                    return Answer(result=Result.TOO_SLOW)
            if not stopped:
                says = "the stream ended in the middle"
                return Answer(result=Result.CUT_STREAM, says=says, request_id=self.request_id)
            return _read(stream.get_final_message(), self._question.model, self.request_id)


def _parameters(question: Question) -> dict[str, Any]:
    """Return what the SDK is called with; the cache ends behind rules and behind code."""
    system = [{"type": "text", "text": text} for text in question.system]
    shown: list[dict[str, Any]] = [{"type": "text", "text": text} for text in question.shown]
    if question.caches:
        for block in (system[-1], shown[0]):
            block["cache_control"] = {"type": "ephemeral"}  # type: ignore[assignment]
    return {
        "model": question.model,
        "max_tokens": question.max_tokens,
        "system": system,
        "messages": [{"role": "user", "content": shown}],
        "output_config": {"format": {"type": "json_schema", "schema": question.schema}},
        "service_tier": "standard_only",
    }


def _read(message: Any, asked: str, request_id: str) -> Answer:
    """Return the answer of a whole reply. Its types are as the wire says, so nothing is trusted."""
    returned, stop = str(message.model), str(message.stop_reason)
    result = STOPS.get(stop, Result.UNEXPECTED_STOP)
    text = "".join(block.text for block in message.content if block.type == "text")
    says = _why(message) if result is Result.REFUSED else ""
    if result is Result.UNEXPECTED_STOP:
        says = f"it stopped because of {stop[:40]}"
    if result is Result.ANSWERED and not text.strip():
        result, says = Result.EMPTY, "the answer holds no text"
    if not is_same_model(asked, returned):
        result, says = Result.OTHER_MODEL, f"{asked} was asked, {returned[:60]} answered"
    return Answer(
        result=result,
        text=text,
        model=returned[:100],
        request_id=request_id,
        usage=_usage(message.usage),
        says=says,
    )


def is_same_model(asked: str, returned: str) -> bool:
    """Say whether a model is the one asked for: itself, or its dated form."""
    date = returned.removeprefix(f"{asked}-")
    return returned == asked or (date != returned and len(date) == 8 and date.isdigit())


def _why(message: Any) -> str:
    details = message.stop_details
    category = getattr(details, "category", None)
    return f"it refused ({category})" if category else "it refused"


def _usage(usage: Any) -> Usage | None:
    """Return what was used; None where a number is missing, or our prices are not its prices."""
    if any(getattr(usage, name, None) not in fine for name, fine in PRICED.items()):
        return None
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_creation_input_tokens or 0,
        usage.cache_read_input_tokens or 0,
    )
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        return None
    return Usage(
        input_tokens=counts[0],
        output_tokens=counts[1],
        cache_write_tokens=counts[2],
        cache_read_tokens=counts[3],
    )
