"""Traefik's access log, read while it grows: each request with its arm and its session.

The log holds session cookies as visitors sent them; what leaves this room is a keyed digest.
The caller keeps the position. Does not belong here: counting (`adapters/canary`).
"""

import hashlib
import hmac
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from selfdrive_dagster.adapters.traefik.config import arm_service, cookie_name, cookie_value

MOST_BYTES = 8 * 2**20
"""Read at most so much at a time; the rest comes with the next call."""

Arm = Literal["canary", "stable"]
Assigned = Literal["canary", "stable", ""]
ARMS: tuple[Arm, ...] = ("canary", "stable")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `session` is a digest, "" when the visitor sent no session cookie.

    `arm` answered; `assigned` is the arm that the visitor had been given before, by its sticky
    cookie, "" without one: such a request stays outside the statistics. The two differ when the
    proxy leaves out an arm that is down. `seconds` last from arrival to the last byte.
    """

    at: datetime
    arm: Arm
    change_id: str
    session: str
    assigned: Assigned
    status: int
    seconds: float

    @property
    def has_arm_cookie(self) -> bool:
        """Whether the visitor had been given an arm before."""
        return bool(self.assigned)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a log was read: which file (its inode), and how many bytes of it."""

    file: int = 0
    offset: int = 0


class Line(msgspec.Struct, frozen=True):
    """What a line of the log holds for us; names are Traefik's, durations are nanoseconds."""

    started: datetime = msgspec.field(name="StartUTC")
    status: int = msgspec.field(name="DownstreamStatus")
    nanoseconds: int = msgspec.field(name="Duration")
    service: str = msgspec.field(name="ServiceName", default="")
    cookie: str = msgspec.field(name="request_Cookie", default="")


LINES = msgspec.json.Decoder(Line)


class AccessLog:
    """A log file that Traefik writes. `key` is the home's; `session_cookie` the product's name.

    A turned log (`access.log.1`) is read to its end before the new one is begun.
    """

    def __init__(self, path: Path, session_cookie: str, key: bytes) -> None:
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._session_cookie = session_cookie
        self._key = key

    def oldest(self) -> Position:
        """Return where the log begins, the turned one included."""
        return Position(file=inode(self._older))

    def read(self, since: Position) -> tuple[tuple[Request, ...], Position]:
        """Return the requests to an arm since a position, and the next position.

        A last line without its end is left for the next time. A file that was cut shorter is
        read from its beginning.
        """
        if since.file and inode(self._path) != since.file == inode(self._older):
            requests, reached = self._read(self._older, since)
            if reached != since:
                return requests, reached
        return self._read(self._path, since)

    def _read(self, path: Path, since: Position) -> tuple[tuple[Request, ...], Position]:
        try:
            with path.open("rb") as file:
                facts = os.fstat(file.fileno())
                same = facts.st_ino == since.file and facts.st_size >= since.offset
                offset = since.offset if same else 0
                whole = whole_lines(file, offset)
        except FileNotFoundError:
            return (), since
        found = (self._request(line) for line in whole.split(b"\n"))
        reached = Position(file=facts.st_ino, offset=offset + len(whole))
        return tuple(request for request in found if request), reached

    def _request(self, line: bytes) -> Request | None:
        """Return a line's request; None for what no arm served, and for a broken line."""
        try:
            told = LINES.decode(line)
        except msgspec.DecodeError:
            return None
        name, _, change_id = told.service.removesuffix("@file").partition("-")
        arm = next((one for one in ARMS if one == name), None)
        if arm is None:
            return None
        cookies = cookies_of(told.cookie)
        return Request(
            at=told.started.astimezone(UTC),
            arm=arm,
            change_id="" if change_id == "none" else change_id,
            session=self._digest(cookies.get(self._session_cookie, "")),
            assigned=assigned(change_id, cookies.get(cookie_name(change_id), "")),
            status=told.status,
            seconds=told.nanoseconds / 1e9,
        )

    def _digest(self, session: str) -> str:
        if not session:
            return ""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()[:24]


def assigned(change_id: str, cookie: str) -> Assigned:
    """Return the arm that a sticky cookie stands for, "" for none of this change's."""
    return next((a for a in ARMS if cookie_value(arm_service(a, change_id)) == cookie), "")


def inode(path: Path) -> int:
    """Return a file's number, 0 when there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def whole_lines(file: BinaryIO, offset: int) -> bytes:
    """Return what follows an offset, up to the last end of a line within MOST_BYTES.

    A line longer than that cannot be one of ours: it is passed over.
    """
    file.seek(offset)
    block = file.read(MOST_BYTES)
    ends = block.rfind(b"\n") + 1
    return block[:ends] if ends or len(block) < MOST_BYTES else block


def cookies_of(header: str) -> dict[str, str]:
    """Return a Cookie header's pairs; of two with one name the first counts."""
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.strip().partition("=")
        if equals:
            found.setdefault(name, value)
    return found
