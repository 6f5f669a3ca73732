"""Request bodies from strangers: decompressed as they stream, refused as soon as they are too much.

Never holds more than the cap; a bomb is dropped at the byte that breaks it. What is held is
reserved before the next step, so that many bodies that never end are counted as well.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it ships no types
from starlette.requests import ClientDisconnect, Request

STEP_BYTES = 256 * 1024


class Refusal(Exception):
    """An answer other than 200: the status and the reason that the sender reads."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


Grow = Callable[[int], None]
"""Reserves that many bytes more, or raises Busy."""


class _Inflater(Protocol):
    """Takes compressed bytes, gives at most `limit` plain ones at a time."""

    def feed(self, data: bytes, limit: int) -> bytes: ...

    def has_more(self) -> bool: ...

    def is_whole(self) -> bool: ...


class _Zlib:
    """gzip (several members too) and zlib, told apart by their heads."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=47)
        self._left = b""

    def feed(self, data: bytes, limit: int) -> bytes:
        plain = self._stream.decompress(self._left + data, limit)
        self._left = self._stream.unconsumed_tail
        if self._stream.eof and self._stream.unused_data:
            self._left = self._stream.unused_data
            self._stream = zlib.decompressobj(wbits=47)
        return plain

    def has_more(self) -> bool:
        return bool(self._left)

    def is_whole(self) -> bool:
        return self._stream.eof and not self._left


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def feed(self, data: bytes, limit: int) -> bytes:
        plain: bytes = self._stream.process(data, output_buffer_limit=limit)
        return plain

    def has_more(self) -> bool:
        return not self._stream.can_accept_more_data()

    def is_whole(self) -> bool:
        return bool(self._stream.is_finished())


class _Identity:
    def feed(self, data: bytes, limit: int) -> bytes:
        return data

    def has_more(self) -> bool:
        return False

    def is_whole(self) -> bool:
        return True


ENCODINGS: dict[str, Callable[[], _Inflater]] = {
    "": _Identity,
    "identity": _Identity,
    "gzip": _Zlib,
    "x-gzip": _Zlib,
    "deflate": _Zlib,
    "br": _Brotli,
}
"""Content-Encoding → how it is undone."""


async def read_body(request: Request, max_bytes: int, grow: Grow) -> bytes:
    """Return the plain body. Raises Refusal 400, 413 or 415 with the reason, Busy from `grow`."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if not encoding and request.query_params.get("compression", "").startswith("gzip"):
        encoding = "gzip"  # posthog-js: a header would cost its browsers a preflight
    if encoding not in ENCODINGS:
        known = ", ".join(name for name in ENCODINGS if name)
        raise Refusal(415, f"Content-Encoding {encoding[:40]!r} is not one of {known}.")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    inflater = ENCODINGS[encoding]()
    body = bytearray()
    try:
        async for chunk in request.stream():
            for plain in _inflate(inflater, chunk):
                if len(body) + len(plain) > max_bytes:
                    raise _too_large(max_bytes)
                grow(len(plain))
                body += plain
    except (zlib.error, brotli.error):
        raise Refusal(400, f"The body is not {encoding}, as its Content-Encoding says.") from None
    except ClientDisconnect:
        raise Refusal(400, "The sender hung up before the end of the body.") from None
    if not inflater.is_whole():
        raise Refusal(400, f"The {encoding} body is cut.")
    return bytes(body)


def _inflate(inflater: _Inflater, chunk: bytes) -> Iterator[bytes]:
    if not chunk:
        return
    plain = inflater.feed(chunk, STEP_BYTES)
    yield plain
    # A full step may leave output behind although all input was taken.
    while inflater.has_more() or len(plain) == STEP_BYTES:
        plain = inflater.feed(b"", STEP_BYTES)
        yield plain


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(413, f"The body holds more than {max_bytes:,} bytes; send smaller batches.")
