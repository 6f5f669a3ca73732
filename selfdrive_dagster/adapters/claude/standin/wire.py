"""The wire: a message whole, the same as events of a stream, and errors, as Anthropic's API sends.

Written from the types of the installed SDK (`anthropic.types`), which reads it back in the tests.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

PIECE = 200
"""Characters of a text delta."""


class Said(NamedTuple):
    """What a message says: its text, why it stopped, and what it used."""

    text: str
    model: str
    usage: dict[str, Any]
    stop: str = "end_turn"
    thinks: bool = True


def message(said: Said, number: int) -> dict[str, Any]:
    """Return a message whole."""
    thinking = [{"type": "thinking", "thinking": "", "signature": "none"}] * said.thinks
    text = [{"type": "text", "text": said.text}] * bool(said.text)
    refused = {"type": "refusal", "category": "cyber", "explanation": "The stand-in refuses."}
    return {
        "id": f"msg_standin{number}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [*thinking, *text],
        "stop_reason": said.stop,
        "stop_sequence": None,
        "stop_details": refused if said.stop == "refusal" else None,
        "usage": said.usage,
    }


def events(said: Said, number: int) -> Iterator[bytes]:
    """Yield the same message as events of a stream."""
    whole = message(said, number)
    begun = {**said.usage, "output_tokens": 1}
    start = {**whole, "content": [], "stop_reason": None, "stop_details": None, "usage": begun}
    yield event("message_start", {"message": start})
    yield event("ping", {})
    for index, block in enumerate(whole["content"]):
        yield from _block(index, block)
    delta = {name: whole[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield event("message_delta", {"delta": delta, "usage": said.usage})
    yield event("message_stop", {})


def _block(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    empty = {**block, "text": ""} if block["type"] == "text" else {**block, "signature": ""}
    yield event("content_block_start", {"index": index, "content_block": empty})
    text = block.get("text", "")
    for start in range(0, len(text), PIECE):
        delta = {"type": "text_delta", "text": text[start : start + PIECE]}
        yield event("content_block_delta", {"index": index, "delta": delta})
    if block["type"] == "thinking":
        delta = {"type": "signature_delta", "signature": block["signature"]}
        yield event("content_block_delta", {"index": index, "delta": delta})
    yield event("content_block_stop", {"index": index})


def event(name: str, body: dict[str, Any]) -> bytes:
    """Return one server-sent event."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **body})}\n\n".encode()


def error(kind: str, says: str, number: int, code: str = "") -> dict[str, Any]:
    """Return an error's body; `code` is the stable name of its cause."""
    details = {"details": {"error_code": code}} if code else {}
    told = {"type": kind, "message": says, **details}
    return {"type": "error", "error": told, "request_id": f"req_standin{number}"}
