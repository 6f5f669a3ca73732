"""A FIDO key made of software: it signs as a hardware key does, touched or not.

Ed25519 as RFC 8032 gives it, slow and for tests alone.
"""

import hashlib
from base64 import b64encode
from pathlib import Path

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME
KIND, APPLICATION = b"sk-ssh-ed25519@openssh.com", b"ssh:"

Point = tuple[int, int, int, int]


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % PRIME
    b = (one[1] + one[0]) * (other[1] + other[0]) % PRIME
    c = 2 * one[3] * other[3] * CURVE % PRIME
    d = 2 * one[2] * other[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def _times(number: int, point: Point) -> Point:
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = _add(total, point)
        point, number = _add(point, point), number >> 1
    return total


def _base() -> Point:
    y = 4 * pow(5, -1, PRIME) % PRIME
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    x = PRIME - x if x & 1 else x
    return x, y, 1, x * y % PRIME


def _packed(point: Point) -> bytes:
    inverse = pow(point[2], -1, PRIME)
    x, y = point[0] * inverse % PRIME, point[1] * inverse % PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _number(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def _strings(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class HardwareKey:
    """One key; `path` is its public half."""

    def __init__(self, folder: Path, seed: bytes = b"7") -> None:
        hashed = hashlib.sha512(seed).digest()
        self._secret = int.from_bytes(hashed[:32], "little") % ORDER
        self._prefix = hashed[32:]
        self._public = _packed(_times(self._secret, _base()))
        self._blob = _strings(KIND, self._public, APPLICATION)
        self.path = folder / "id_ed25519_sk.pub"
        self.path.write_text(f"{KIND.decode()} {b64encode(self._blob).decode()} ada\n")

    def sign(self, message: bytes, namespace: str, *, touched: bool) -> str:
        """Return an armoured signature, whose flags tell whether somebody touched the key."""
        told = (namespace.encode(), b"", b"sha512")
        signed = b"SSHSIG" + _strings(*told, hashlib.sha512(message).digest())
        flags = bytes([touched]) + (1).to_bytes(4, "big")
        text = hashlib.sha256(APPLICATION).digest() + flags + hashlib.sha256(signed).digest()
        nonce = _number(self._prefix, text)
        point = _packed(_times(nonce, _base()))
        rest = (nonce + _number(point, self._public, text) * self._secret) % ORDER
        raw = _strings(KIND, point + rest.to_bytes(32, "little")) + flags
        blob = b"SSHSIG" + (1).to_bytes(4, "big") + _strings(self._blob, *told, raw)
        lines = b64encode(blob).decode()
        rows = "\n".join(lines[at : at + 70] for at in range(0, len(lines), 70))
        return f"-----BEGIN SSH SIGNATURE-----\n{rows}\n-----END SSH SIGNATURE-----\n"
