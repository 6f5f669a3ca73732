"""Redaction: what strangers' telemetry must lose before it touches a disk.

Two ordered tables do the work: `forms` finds secrets and personal data by how they look, and the
words of `names` find them by the name beside them, wherever a name and a value stand together:
mappings, pairs, `{"name": …, "value": …}` (`tree`), and inside text where a row of `heads` says.
What goes leaves a typed placeholder (`[email]`, `[secret]`). Numbers, booleans, None and short
plain texts stay: a reproducer needs them. Nothing here raises, and all work is bounded.

The tables are versioned: a change of what is hidden gets a new VERSION. Finding personal names
or addresses in prose does not belong here; that needs a language model and a decision.
"""

import hmac
from typing import Any

import msgspec

from selfdrive_dagster.telemetry.redact.allowed import is_listed
from selfdrive_dagster.telemetry.redact.forms import is_luhn
from selfdrive_dagster.telemetry.redact.names import is_secret_name
from selfdrive_dagster.telemetry.redact.text import CUT, MAX_TEXT_CHARS, redact_text
from selfdrive_dagster.telemetry.redact.tree import redact_value

VERSION = "redact@2026-11-27.2"

__all__ = [
    "CUT",
    "MAX_TEXT_CHARS",
    "VERSION",
    "Redactor",
    "is_luhn",
    "is_secret_name",
    "redact_text",
    "redact_value",
]


class Redactor(msgspec.Struct, frozen=True):
    """Redaction with this installation's pseudonym key; `key` None hides persons altogether.

    Without `keeps_variables` the decoders leave out what frames held, whatever it looks like.
    With `only_listed` attributes stay only if `allowed` or `more_names` lists them; what stays
    goes past the same detectors.
    """

    key: bytes | None = None
    keeps_variables: bool = True
    only_listed: bool = False
    more_names: frozenset[str] = frozenset()

    def keeps(self, name: str) -> bool:
        """Say whether an attribute of this name may stay, if no detector objects."""
        return not self.only_listed or name in self.more_names or is_listed(name)

    def text(self, text: str) -> str:
        """Return redacted text; see `redact_text`."""
        return redact_text(text)

    def value(self, value: Any, name: str = "") -> Any:
        """Return a redacted JSON-like value; see `redact_value`."""
        return redact_value(value, name)

    def pseudonym(self, kind: str, identity: str) -> str:
        """Return the HMAC-SHA256 pseudonym (32 hex digits) of a user or session id.

        `kind` separates users from sessions. No identity gives "", no key gives `[kind]`.
        """
        if not identity:
            return ""
        if self.key is None:
            return f"[{kind}]"
        message = f"{kind}\0{identity}".encode("utf-8", "replace")
        return hmac.digest(self.key, message, "sha256").hex()[:32]
