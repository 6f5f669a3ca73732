"""Redaction: what strangers' telemetry must lose before it touches a disk.

Two ordered tables do the work: PATTERNS finds secrets and personal data by their form, and
SECRET_WORDS by the name beside them, wherever a name and a value stand together: mappings,
pairs, `{"name": …, "value": …}`, `key=value` inside text. What goes leaves a typed placeholder
(`[email]`, `[secret]`). Numbers, booleans, None and short plain texts stay: a reproducer needs
them. Nothing here raises, and all work is bounded.

Both tables are versioned: a change of what is hidden gets a new VERSION. Finding personal names
or addresses in prose does not belong here; that needs a language model and a decision.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

VERSION = "redact@2026-11-23"

MAX_TEXT_CHARS = 65_536
SHORT_CHARS = 128
MAX_DEPTH = 24
MAX_NODES = 20_000
CUT = "[cut]"
SECRET = "[secret]"  # noqa: S105  a placeholder, the opposite of a secret


def _words(lines: str) -> frozenset[str]:
    return frozenset(lines.split())


STRONG_WORDS = _words(
    """
    password passwd passphrase pwd passcode secret secrets credential credentials authorization
    cookie cookies cvv cvc ssn otp pin apikey privatekey accesskey csrf xsrf csrftoken xsrftoken
    sessionid sessid jsessionid phpsessid connectionstring jwt dsn
    """
)
"""A word of the name that hides any value, except None, booleans and the empty text."""

WEAK_WORDS = _words(
    """
    token session sid auth bearer signature sig nonce
    """
)
"""A word that hides texts and containers, but leaves short numbers: `token = 3` is a parser's."""

SECRET_PAIRS = _words(
    """
    api_key access_key private_key secret_key signing_key encryption_key account_key auth_key
    session_key connection_string set_cookie card_number credit_card x_forwarded forwarded_for
    real_ip remote_addr ip_address client_ip mfa_code security_code
    """
)
"""Two neighbouring words of a name that are secret together."""

GLUED_ENDINGS = ("password", "secret", "apikey", "etoken", "rtoken", "stoken", "ntoken", "htoken")
"""Ends of a last word without a gap: `csrfmiddlewaretoken`, `accesstoken`, `dbpassword`."""

PLAIN_LAST_WORDS = _words(
    """
    count counts type types length len size limit name names field fields ttl max min expires
    expiry timeout index position factory class maker enabled required
    """
)
"""A last word that makes the name speak *about* a secret: `token_count`, `cookie_name`."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PLAIN_VALUES = frozenset({"", "None", "True", "False", "null", "true", "false", "''", '""'})
_SHORT_NUMBER = re.compile(r"-?\d{1,4}(?:\.\d{1,4})?\Z")
_KEPT = re.compile(r"'?\[(?:secret|Filtered|cut|[a-z_]{2,12})\]'?\Z")
_NAME_WRAP = re.compile(r"""\A[bru]{0,2}["'](.*)["']\Z""", re.DOTALL)


class Pattern(NamedTuple):
    """One form that must go: its class name, how it is found and what takes its place."""

    name: str
    regex: re.Pattern[str]
    replace: str | Callable[[re.Match[str]], str]


def is_luhn(digits: str) -> bool:
    """Say whether a text of digits carries a right check digit (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(digits[::-1])]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _card(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found.group())
    return "[card]" if 13 <= len(digits) <= 19 and is_luhn(digits) else found.group()


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
    is_hex = digits >= 6 and re.fullmatch(r"[0-9a-fA-F]+", text) and not text.isdigit()
    return "[token]" if is_mixed or is_hex else text


_NAMES_IN_TEXT = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|credentials?|authorization|cookies?|api[_-]?key"
    r"|(?:access|private|signing|encryption|account|session|auth)[_-]?key|[cx]srf|j?session[_-]?id"
    r"|session|sessid|token|jwt|signature|\bsig|\bsid|\botp|\bpin|\bcvv|\bcvc|\bssn|\bauth|\bdsn)"
)

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
        re.compile(r"\beyJ[\w-]{6,4000}\.[\w-]{6,8000}(?:\.[\w-]{0,4000})?"),
        "[jwt]",
    ),
    Pattern(
        "url_password", re.compile(r"(://)[^\s/@:'\"]{0,200}:[^\s/@'\"]{1,200}@"), r"\1[secret]@"
    ),
    Pattern(
        "bearer",
        re.compile(
            r"(?i)\b(bearer|basic|digest|negotiate)(\s{1,3}|%20)(?=[\w.~+/-]*[\d=.])[\w.~+/-]{8,4000}={0,2}"
        ),
        r"\1\2[secret]",
    ),
    Pattern(
        "header",
        re.compile(
            r"""(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\s{0,3}:\s{0,3})(?!\[secret\])[^\s"'\[{][^\r\n"']{0,8000}"""
        ),
        r"\1\2[secret]",
    ),
    Pattern(
        "key_value",
        re.compile(
            rf"""(?i)({_NAMES_IN_TEXT}(?:[_-][\w-]{{0,30}})?(?:\\?["'])?\]?)"""
            r"""(\s{0,3}(?:=>|==|=|:|%3[dD])\s{0,3}b?)"""
            r"""(?:\\?"(?:[^"\\\n]|\\[^"\n]){1,8000}\\?"|\\?'(?:[^'\\\n]|\\[^'\n]){1,8000}\\?'"""
            r"""|(?!\[|None\b|True\b|False\b|null\b|true\b|false\b|\d{1,4}(?![\w.]))[^\s"'&,;<>(){}\[\]\\]{1,8000})"""
        ),
        r"\1\2[secret]",
    ),
    Pattern(
        "provider_token",
        re.compile(
            r"\b(?:sk-[\w-]{16,200}|(?:sk|pk|rk)_(?:live|test)_\w{8,200}|gh[opsur]_\w{20,255}"
            r"|github_pat_\w{20,255}|glpat-[\w-]{16,100}|xox[abeoprs]-[\w-]{10,200}"
            r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,60}|ya29\.[\w-]{20,400}"
            r"|npm_\w{30,100}|pypi-[\w-]{20,400}|SG\.[\w-]{16,64}\.[\w-]{16,64}|dop_v1_[0-9a-f]{32,80})"
        ),
        "[token]",
    ),
    Pattern(
        "email",
        re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}(?:@|%40)[^\W_][\w-]{0,62}(?:\.[\w-]{1,63}){1,8}"),
        "[email]",
    ),
    Pattern("card", re.compile(r"(?<![\w.])[3-6]\d(?:[ -]?\d){11,17}(?![\w])"), _card),
    Pattern("ipv4", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)"), _ip),
    Pattern(
        "ipv6",
        re.compile(r"(?<![\w:.])[0-9a-fA-F]{1,4}(?::{1,2}[0-9a-fA-F]{1,4}){2,7}(?:::)?(?!\w|:\w)"),
        _ip,
    ),
    Pattern(
        "long_token", re.compile(r"(?<![\w+-])[\w+-]{24,4000}={0,2}(?![\w+-])", re.ASCII), _token
    ),
)
"""Form → placeholder, in this order. Every repetition is bounded, so time is linear."""

_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORTH_A_LOOK = re.compile(
    r"[@=:%]|\d{3}|\d\.\d|[\w+-]{16}|(?i:bearer|basic|digest|negotiate)|-----"
)


def redact_text(text: str) -> str:
    """Return `text` with every form of PATTERNS replaced, cut at MAX_TEXT_CHARS characters."""
    if len(text) > MAX_TEXT_CHARS:
        text = text[:MAX_TEXT_CHARS] + CUT
    if not text.isascii():
        # A lone surrogate cannot be written as UTF-8; a question mark stands in for it.
        text = text.encode("utf-8", "replace").decode("utf-8")
    return _short(text) if len(text) <= SHORT_CHARS else _replace_forms(text)


def _replace_forms(text: str) -> str:
    if not _WORTH_A_LOOK.search(text):
        return text
    for pattern in PATTERNS:
        if pattern.name == "long_token" and _UUID.search(text):
            pieces = _UUID.split(text)
            names = _UUID.findall(text)
            clean = [pattern.regex.sub(pattern.replace, piece) for piece in pieces]
            text = "".join(part for pair in zip(clean, [*names, ""], strict=True) for part in pair)
            continue
        text = pattern.regex.sub(pattern.replace, text)
    return text


# Telemetry says the same short things over and over: routes, methods, names.
_short = lru_cache(maxsize=8_192)(_replace_forms)


def is_secret_name(name: str) -> bool:
    """Say whether a name promises a secret: `userPassword`, `X-Api-Key`, `b'cookie'`."""
    return _secrecy(name) > 0


@lru_cache(maxsize=4_096)
def _secrecy(name: str) -> int:
    """Return 2 for a strong name, 1 for a weak one, 0 for a plain one."""
    wrapped = _NAME_WRAP.match(name)
    bare = wrapped.group(1) if wrapped else name
    words = [word.lower() for word in _WORDS.findall(bare[-200:])]
    if not words or words[-1] in PLAIN_LAST_WORDS:
        return 0
    pairs = {f"{first}_{second}" for first, second in pairwise(words)}
    if STRONG_WORDS.intersection(words) or SECRET_PAIRS & pairs or "".join(words) in STRONG_WORDS:
        return 2
    if words[-1].endswith(GLUED_ENDINGS):
        return 2
    return 1 if WEAK_WORDS.intersection(words) else 0


def _hide(secrecy: int, value: Any) -> Any:
    """Return what may stay of a value under a secret name."""
    if value is None or isinstance(value, bool):
        return value
    text = str(value) if isinstance(value, int | float | str) else "…"
    if text in _PLAIN_VALUES or _KEPT.match(text):
        return value
    if secrecy == 1 and _SHORT_NUMBER.match(text):
        return value
    return SECRET


class _Walk:
    """One bounded walk over a JSON-like tree."""

    def __init__(self) -> None:
        self.left = MAX_NODES

    def value(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            return CUT
        if isinstance(value, str):
            return redact_text(value)
        if value is None or isinstance(value, bool | int | float):
            return self.number(value)
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple):
            return self.sequence(value, depth)
        return "[unreadable]"

    def number(self, value: Any) -> Any:
        """Keep numbers; a card number sent as an integer is still a card number."""
        is_long = isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**12
        return (
            "[card]"
            if is_long and abs(value) < 10**19 and redact_text(str(value)) == "[card]"
            else value
        )

    def mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        # {"name": "password", "value": "x"} and {"key": …, "value": …} are pairs in disguise.
        label = value.get("name", value.get("key"))
        labelled = _secrecy(label) if isinstance(label, str) and "value" in value else 0
        clean: dict[str, Any] = {}
        for key, inner in value.items():
            if self.left < 0:
                clean[CUT] = CUT
                break
            name = str(key)
            clean[redact_text(name)] = self.pair(
                labelled if name == "value" else _secrecy(name), inner, depth
            )
        return clean

    def sequence(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        # A pair ["Cookie", "a=b"] is a name and its value: headers arrive this way.
        if len(value) == 2 and isinstance(value[0], str):
            secrecy = _secrecy(value[0])
            return [redact_text(value[0]), self.pair(secrecy, value[1], depth)]
        clean = []
        for inner in value:
            if self.left < 0:
                clean.append(CUT)
                break
            clean.append(self.value(inner, depth + 1))
        return clean

    def pair(self, secrecy: int, value: Any, depth: int) -> Any:
        if secrecy and (hidden := _hide(secrecy, value)) is SECRET:
            return hidden
        return self.value(value, depth + 1)


def redact_value(value: Any, name: str = "") -> Any:
    """Return a JSON-like value without secrets; `name` is what the sender called it."""
    return _Walk().pair(_secrecy(name) if name else 0, value, 0)


class Redactor(msgspec.Struct, frozen=True):
    """Redaction with this installation's pseudonym key; `key` None hides persons altogether.

    Without `keeps_variables` the decoders leave out what frames held, whatever it looks like.
    """

    key: bytes | None = None
    keeps_variables: bool = True

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
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:32]
