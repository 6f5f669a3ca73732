"""The receiver: unmodified OpenTelemetry and Sentry SDKs send here; 200 means it is on disk.

`serve` runs it until SIGINT or SIGTERM; `python -m selfdrive_dagster.adapters.receiver
'<settings as JSON>'` is the same as a process of its own.
"""

import gc
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvicorn

from selfdrive_dagster.adapters.intake import Intake
from selfdrive_dagster.adapters.receiver.app import Desk, build_app
from selfdrive_dagster.adapters.receiver.forward import Forwarder, Upstream
from selfdrive_dagster.adapters.receiver.patience import REQUEST_SECONDS, patient_protocol
from selfdrive_dagster.adapters.receiver.visitors import is_loopback
from selfdrive_dagster.adapters.segments import Limits, SegmentWriter
from selfdrive_dagster.errors import Busy, Refused
from selfdrive_dagster.telemetry import Arrival, Redactor, otlp

__all__ = ["ReceiverSettings", "read_key", "serve"]

MAX_CONNECTIONS = 512
KEY_BYTES = 32
TURN_SECONDS = 0.001
YOUNG_OBJECTS = 20_000


class ReceiverSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to listen and where to write. Port 0 takes a free one.

    `directory` gets the segments, `key_file` holds (or gets) the pseudonym key. `forward` is
    the DSN used until now, or "". `accept` names the formats that are taken; without
    `capture_arguments` no frame's variables are kept; with `attributes` "listed" only what the
    allow-list or `keep_attributes` names. `quota_per_minute` bounds each service's events; 0
    does not. `keys` must be given to listen beyond loopback.
    """

    directory: str
    key_file: str
    host: str = "127.0.0.1"
    port: int = 4318
    service_name: str = "unknown_service"
    forward: str = ""
    accept: tuple[str, ...] = ("otlp", "sentry", "events")
    capture_arguments: bool = True
    attributes: str = "all"
    keep_attributes: tuple[str, ...] = ()
    quota_per_minute: int = 0
    keys: tuple[str, ...] = ()
    segment_bytes: int = 64 * 2**20
    segment_seconds: float = 5.0
    request_seconds: float = REQUEST_SECONDS


def serve(settings: ReceiverSettings, on_ready: Callable[[int], None] | None = None) -> None:
    """Listen until told to stop; `on_ready` hears the port once connections are taken.

    Raises Refused (not loopback and no keys), Busy (port or directory taken), BadInput (DSN).
    """
    upstream = Upstream.parse(settings.forward) if settings.forward else None
    listener = listen(settings)
    port = int(listener.getsockname()[1])
    if upstream and upstream.port == port and is_loopback(upstream.host):
        listener.close()
        raise Refused(
            "[telemetry] forward points at this receiver.",
            remedy="Give the DSN that your product used before Selfdrive.",
        )
    limits = Limits(settings.segment_bytes, settings.segment_seconds)
    writer = SegmentWriter(Path(settings.directory), limits)
    forwarder = Forwarder(upstream) if upstream else None
    desk = Desk(
        intake=Intake(writer),
        redactor=Redactor(
            read_key(Path(settings.key_file)),
            keeps_variables=settings.capture_arguments,
            only_listed=settings.attributes == "listed",
            more_names=frozenset(settings.keep_attributes),
        ),
        accept=frozenset(settings.accept),
        service_name=settings.service_name,
        forwarder=forwarder,
        keys=frozenset(settings.keys),
        is_local=is_loopback(settings.host),
        quota_per_minute=settings.quota_per_minute,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(desk),
            http=patient_protocol(settings.request_seconds),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
        )
    )
    # uvicorn raises the signal again once it has stopped; that must not kill us before the
    # open segment is closed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    load_decoders()
    # What is loaded by now stays, and a delivery's records live for a moment only: the collector
    # looks at both for nothing. One thread that has the interpreter keeps the others waiting for
    # a turn: a synced delivery is answered sooner when turns are short.
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    sys.setswitchinterval(TURN_SECONDS)
    try:
        if on_ready:
            on_ready(port)
        server.run(sockets=[listener])
    finally:
        if forwarder:
            forwarder.close()
        writer.close()


def load_decoders() -> None:
    """Load what OTLP needs now, not while the first sender waits for it."""
    nobody = Arrival.now(Redactor())
    for signal_name in otlp.SIGNALS:
        otlp.decode_protobuf(signal_name, b"", "nothing", nobody)
        otlp.export_response(signal_name, 0, (), as_json=False)
    otlp.decode_json_body(b'{"resourceSpans":[]}', "nothing", nobody)


def listen(settings: ReceiverSettings) -> socket.socket:
    """Return a listening socket; connections wait in its backlog until the server runs."""
    if not is_loopback(settings.host) and not settings.keys:
        raise Refused(
            f"[telemetry] listen = {settings.host!r} is open to the network, without keys.",
            remedy='Set listen = "127.0.0.1:4318"; keys for senders beyond cannot be set yet.',
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio turns Nagle's delay off only for sockets that name TCP, and it reads that here.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise Busy(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}.",
            remedy="Stop what uses the port, or set [telemetry] listen to another one.",
        ) from None
    listener.listen(1024)
    return listener


def read_key(path: Path) -> bytes:
    """Return this installation's pseudonym key, made on first use with mode 0600."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise Refused(
                f"{path} holds {len(key)} bytes; a pseudonym key has {KEY_BYTES}.",
                remedy="Restore it. A new key would count every known user as a new one.",
            ) from None
        return key
    with os.fdopen(descriptor, "wb") as file:
        key = secrets.token_bytes(KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key
