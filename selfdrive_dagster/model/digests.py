"""Canonical bytes and the names made from them.

Everything that is approved, stored as evidence or compared later is named by the sha256
of its canonical JSON: keys sorted, no spaces, UTF-8. Never use an engine's `hash()`.
"""

import hashlib
from typing import Any

import msgspec


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a record: equal values give equal bytes."""
    return msgspec.json.encode(value, order="deterministic")


def digest(value: Any) -> str:
    """Return the sha256 (64 hex digits) of bytes, or of a record's canonical JSON."""
    data = value if isinstance(value, bytes) else canonical(value)
    return hashlib.sha256(data).hexdigest()


def short_id(prefix: str, *parts: Any) -> str:
    """Return `<prefix>_<16 hex>` over the parts: `iss_…`, `chg_…`, `cnd_…`."""
    return f"{prefix}_{digest(list(parts))[:16]}"
