"""Made-up values in place of what was hidden: valid of their type, and nobody's.

Addresses are of the domains and networks that are kept for examples (RFC 2606, RFC 5737); the
card number is the test number of the payment schemes.
"""

import re

REDACTED = re.compile(
    r"\[(?:Filtered|secret|cut|unreadable|email|ip|card|iban|token|jwt|private_key|user|session)\]"
)
"""What the SDK and our own redaction put in place of a value or a part of it."""

BY_PLACEHOLDER: dict[str, str] = {
    "[email]": "somebody@example.org",
    "[ip]": "192.0.2.1",
    "[card]": "4111111111111111",
    "[iban]": "GB82WEST12345698765432",
    "[jwt]": "e30.e30.c2ln",
}
PLAIN = "filtered"
BY_TYPE: dict[str, str | bytes | int | float] = {
    "bytes": b"filtered",
    "int": 4111111111111111,
    "float": 1.5,
}
UNREADABLE = frozenset({"[cut]", "[unreadable]"})
"""These were not hidden but lost: nobody knows their type."""


def stand_in(placeholder: str, annotation: str = "") -> str | bytes | int | float | None:
    """Return a value of the annotated type, a text by default; None where nobody knows a type."""
    texts = ("", "str", "Any", "object", "AnyStr", "EmailStr", "SecretStr")
    if placeholder in UNREADABLE or annotation not in (*texts, *BY_TYPE):
        return None
    return BY_TYPE.get(annotation, BY_PLACEHOLDER.get(placeholder, PLAIN))


def stood_in(text: str) -> str:
    """Return a text with a made-up one in place of each hidden part."""
    return REDACTED.sub(lambda one: BY_PLACEHOLDER.get(one[0], PLAIN), text)


MADE_UP = frozenset({PLAIN, *BY_PLACEHOLDER.values(), *BY_TYPE.values()})
"""Literals that come from here and not from production."""
