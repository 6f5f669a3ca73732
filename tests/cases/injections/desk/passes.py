"""Passes: who somebody is, until when, and a seal that only we can make."""

import hashlib
import hmac

PEPPER = "desk"
SEAL_LENGTH = 64


def seal(text):
    """Return the seal of a text."""
    return hmac.new(PEPPER.encode(), text.encode(), hashlib.sha256).hexdigest()


def holder(given, now):
    """Return whom a pass names, None if it is forged or over."""
    name, until, mark = given.split(".")
    if not hmac.compare_digest(mark, seal(f"{name}.{until}")):
        return None
    if int(until) < now:
        return None
    return name
