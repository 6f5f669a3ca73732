"""Forms: secrets and personal data that are known by how they look, wherever they stand.

Every repetition is bounded, or gives nothing back and begins only where a word does, so time is
linear. Does not belong here: what only a name beside it gives away.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple


class Pattern(NamedTuple):
    """One form that must go: its class name, how it is found and what takes its place."""

    name: str
    regex: re.Pattern[str]
    replace: str | Callable[[re.Match[str]], str]

    def hide(self, text: str) -> str:
        """Return text in which every such form is replaced."""
        return self.regex.sub(self.replace, text)


def is_luhn(digits: str) -> bool:
    """Say whether a text of digits carries a right check digit (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(digits[::-1])]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _card(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found.group())
    return "[card]" if 13 <= len(digits) <= 19 and is_luhn(digits) else found.group()


def _iban(found: re.Match[str]) -> str:
    text = found.group().replace(" ", "")
    digits = "".join(str(int(character, 36)) for character in text[4:] + text[:4])
    return "[iban]" if len(text) >= 15 and int(digits) % 97 == 1 else found.group()


def _ip(found: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(found.group())
    except ValueError:
        return found.group()
    return found.group() if address.is_loopback or address.is_unspecified else "[ip]"


def _token(found: re.Match[str]) -> str:
    text = found.group()
    digits = sum(character.isdigit() for character in text)
    is_mixed = text != text.lower() and text != text.upper() and digits >= 3
    return "[token]" if is_mixed or any(map(_is_drawn, re.split("[_+-]", text))) else text


def _is_drawn(piece: str) -> bool:
    """Say whether letters and digits are mixed as chance mixes them: hex, base 36."""
    digits = sum(character.isdigit() for character in piece)
    return len(piece) >= 24 and digits >= 6 and not piece.isdigit()


def hide_long_tokens(text: str) -> str:
    """Hide long tokens, but not in UUIDs: what stands between them is looked at."""
    clean = [_LONG_TOKEN.sub(_token, piece) for piece in _UUID.split(text)]
    names = [*_UUID.findall(text), ""]
    return "".join(part for pair in zip(clean, names, strict=True) for part in pair)


_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONG_TOKEN = re.compile(r"(?<![\w+-])[\w+-]{24,}+={0,2}(?![\w+-])", re.ASCII)

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "private_key",
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:(?!-----END).){0,20000}"
            r"(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?",
            re.DOTALL,
        ),
        "[private_key]",
    ),
    Pattern(
        "jwt",
        re.compile(
            r"(?:(?<![\w-])|(?<=%3[dD])|(?<=%2[02fF]))"
            r"eyJ[\w-]{6,}+\.[\w-]{6,}+(?:\.[\w-]*+)?"
        ),
        "[jwt]",
    ),
    Pattern(
        "url_password",
        re.compile(
            # A slash may be part of a password, but `host:8080/` is a port.
            r"""(://)[^\s/@:'"]{0,200}:"""
            r"""(?:[^\s/'"]{1,200}|(?!\d{1,5}/)[^\s@'"?\#]{1,200})@"""
        ),
        r"\1[secret]@",
    ),
    Pattern(
        "bearer",
        re.compile(
            r"(?i)\b(bearer|basic|digest|negotiate)(\s{1,3}|%20)(?=[\w.~+/-]*[\d=.])[\w.~+/-]{8,}+={0,2}"
        ),
        r"\1\2[secret]",
    ),
    Pattern(
        "header",
        re.compile(
            r"""(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\s{0,3}:\s{0,3})(?!\[secret\])[^\s"'\[{][^\r\n"']*+"""
        ),
        r"\1\2[secret]",
    ),
    Pattern(
        "provider_token",
        re.compile(
            r"\b(?:sk-[\w-]{16,200}|(?:sk|pk|rk)_(?:live|test)_\w{8,200}|gh[opsur]_\w{20,255}"
            r"|github_pat_\w{20,255}|glpat-[\w-]{16,100}|xox[abeoprs]-[\w-]{10,200}"
            r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,60}|ya29\.[\w-]{20,400}"
            r"|hf_\w{30,60}|hvs\.[\w-]{20,200}|whsec_\w{20,100}|\d{8,10}:AA[\w-]{33}"
            r"|hooks\.slack\.com/services/[\w/]{20,100}"
            r"|npm_\w{30,100}|pypi-[\w-]{20,400}|SG\.[\w-]{16,64}\.[\w-]{16,64}|dop_v1_[0-9a-f]{32,80})"
        ),
        "[token]",
    ),
    Pattern(
        "email",
        re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}(?:@|%40)[^\W_][\w-]{0,62}(?:\.[\w-]{1,63}){1,8}"),
        "[email]",
    ),
    Pattern(
        "iban",
        re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
        _iban,
    ),
    Pattern("card", re.compile(r"(?<![\w.])[3-6]\d(?:[ -]?\d){11,17}(?![\w])"), _card),
    Pattern("ipv4", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)"), _ip),
    Pattern(
        "ipv6",
        re.compile(
            # Of the shortest form only known kinds: `x[1::2]` and `dead::beef` are code.
            r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}(?::{1,2}[0-9a-fA-F]{1,4}){2,7}(?:::)?"
            r"|(?i:fe[89ab][0-9a-f]|f[cd][0-9a-f]{2}|2001|2a[0-9a-f]{2})::[0-9a-fA-F]{1,4})(?!\w|:\w)"
        ),
        _ip,
    ),
)
"""Form → placeholder, in this order; after `url_password`, `bearer` and `header` come HEADS, and
at last long tokens. Every repetition is bounded, or gives nothing back and begins only where a
word does, so time is linear.
"""
