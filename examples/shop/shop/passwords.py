"""Passwords: scrypt with the address as salt, compared in constant time."""

import hashlib
import hmac


def hash_password(password: str, *, salt: bytes) -> bytes:
    """Return the 32 bytes that we store in place of a password."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**11, r=8, p=1, dklen=32)


def password_fits(password: str, stored: bytes, *, salt: bytes) -> bool:
    """Say whether a password gives the stored bytes."""
    return hmac.compare_digest(hash_password(password, salt=salt), stored)
