"""A transport of the SDK's HTTP library that stops where a reply is longer than any answer.

The SDK reads a reply or an event whole before it looks at it, so the bound must stand below it.
"""

from collections.abc import Iterator

import httpx2

MOST_BYTES = 4 * 2**20
"""Bytes of one reply, its body as it came. An answer of 16,000 tokens streams as far less."""


class ReplyTooLarge(Exception):
    """A reply was longer than MOST_BYTES."""


class CappedStream(httpx2.SyncByteStream):
    """The bytes of a reply until there are too many."""

    def __init__(self, stream: httpx2.SyncByteStream, most: int) -> None:
        self._stream, self._left = stream, most

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._left -= len(piece)
            if self._left < 0:
                raise ReplyTooLarge
            yield piece

    def close(self) -> None:
        """Close the reply."""
        self._stream.close()


class CappedTransport(httpx2.HTTPTransport):
    """HTTP as always, each reply capped."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the reply's body raises ReplyTooLarge where it is too long."""
        reply = super().handle_request(request)
        assert isinstance(reply.stream, httpx2.SyncByteStream)
        reply.stream = CappedStream(reply.stream, MOST_BYTES)
        return reply
