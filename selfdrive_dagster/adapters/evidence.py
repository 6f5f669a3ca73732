"""Evidence: records kept under the sha256 of their canonical JSON, never changed afterwards.

A file lies at `<home>/evidence/ab/cdef….json`, mode 0600. Reading makes the digest again: a
file that is not there was NOT RECORDED (or is lost), one whose bytes differ was altered, and
the two are told apart, always. Does not belong here: what a record means, who may erase it.
"""

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from selfdrive_dagster.adapters.durable import sync, write_whole
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.model import canonical, digest

T = TypeVar("T")
SHA256 = re.compile(r"[0-9a-f]{64}")


class EvidenceNotRecorded(SelfdriveError):
    """Nothing is stored under this digest."""


class EvidenceAltered(SelfdriveError):
    """What is stored under this digest is not what was stored there."""


class Evidence:
    """The store of one home. Safe for many writers: equal records are equal files."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._root = home / "evidence"

    def put(self, record: Any) -> str:
        """Store a record and return its sha256; on return it survives a power cut.

        Storing it again changes nothing, and raises EvidenceAltered rather than mend a file
        that was tampered with.
        """
        data = canonical(record)
        sha256 = digest(data)
        path = self.path(sha256)
        if path.is_file():
            self.read(sha256)
            return sha256
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, data)
        # The names on the way must survive as well as the bytes.
        for folder in (self._root, self._root.parent):
            sync(folder)
        return sha256

    def get(self, sha256: str, type: type[T]) -> T:
        """Return the record of a digest.

        Raises EvidenceNotRecorded, EvidenceAltered, or BadInput when the digest is none or the
        record is sound but of another type.
        """
        try:
            return msgspec.json.decode(self.read(sha256), type=type)
        except msgspec.DecodeError as fault:
            raise BadInput(
                f"Evidence {sha256} is no {getattr(type, '__name__', type)}: {fault}",
                remedy="Ask for the type that was stored, with the version that stored it.",
            ) from fault

    def read(self, sha256: str) -> bytes:
        """Return the canonical bytes of a digest, verified."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise EvidenceNotRecorded(
                f"NOT RECORDED: there is no evidence {sha256}.",
                remedy=f"Restore {self.path(sha256)} from a backup if it was there once.",
            ) from None
        if digest(data) != sha256:
            raise EvidenceAltered(
                f"ALTERED: {self.path(sha256)} no longer holds what its name says.",
                remedy="Keep the file for inquiry and restore the original from a backup.",
            )
        return data

    def path(self, sha256: str) -> Path:
        """Return where a digest's file is or would be. Raises BadInput for what is no digest."""
        if not SHA256.fullmatch(sha256):
            raise BadInput(f"{sha256!r} is not a sha256 of 64 lower-case hex digits.")
        return self._root / sha256[:2] / f"{sha256[2:]}.json"
