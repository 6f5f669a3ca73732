"""How long we wait for a request: uvicorn's HTTP/1.1 protocol with a deadline for the sender.

uvicorn closes idle connections, but waits for ever for the rest of a request that has begun
(slowloris), and for a first one. Here a whole request must have come within REQUEST_SECONDS.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 20.0


class PatientProtocol(H11Protocol):
    """H11Protocol that closes the connection when a request takes too long to come."""

    request_seconds = REQUEST_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for ever."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Keep one deadline from the first byte of a request to its last."""
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._arm()
        else:
            self._disarm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to wait for."""
        self._disarm()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Between requests the keep-alive time-out watches, unless a body is still coming."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self._disarm()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self._give_up)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


def patient_protocol(seconds: float) -> type[Any]:
    """Return the protocol with another deadline, in seconds."""
    return type("PatientProtocol", (PatientProtocol,), {"request_seconds": seconds})
