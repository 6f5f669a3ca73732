"""Redaction: what strangers' telemetry must lose before it touches a disk.

Two ordered tables do the work: PATTERNS finds secrets and personal data by their form, and the
tables of words find them by the name beside them, wherever a name and a value stand together:
mappings, pairs, `{"name": …, "value": …}`, and inside text where a row of HEADS says. What goes
leaves a typed placeholder (`[email]`, `[secret]`). Numbers, booleans, None and short plain texts
stay: a reproducer needs them. Nothing here raises, and all work is bounded.

Both tables are versioned: a change of what is hidden gets a new VERSION. Finding personal names
or addresses in prose does not belong here; that needs a language model and a decision.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

VERSION = "redact@2026-11-27"

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
    password passwd passphrase pwd passcode secret credential authorization cookie cvv cvc ssn otp
    totp apikey privatekey accesskey csrf xsrf csrftoken xsrftoken sessionid sessid jsessionid
    phpsessid connectionstring jwt dsn dbpass userpass smtppass mailpass adminpass rootpass sshpass
    """
)
"""A word of the name that hides any value, except None, booleans and the empty text."""

PIN_WORDS = _words("pin")
"""A word that hides texts and longer numbers: a PIN has four digits, the pin of a chip has two."""

WEAK_WORDS = _words(
    """
    token session sid auth bearer signature sig nonce
    """
)
"""A word that hides texts and containers, but leaves short numbers: `token = 3` is a parser's."""

WEAK_LAST_WORDS = _words("pass")
"""The same, but only at the end of a name: `DB_PASS`, never `pass_rate`."""

SECRET_PAIRS = _words(
    """
    api_key access_key private_key secret_key signing_key encryption_key account_key auth_key
    session_key connection_string set_cookie card_number credit_card x_forwarded forwarded_for
    real_ip remote_addr ip_address client_ip mfa_code security_code sms_code verification_code
    verify_code auth_code login_code access_code backup_code recovery_code confirmation_code
    reset_code activation_code onetime_code factor_code fa_code device_code card_code
    """
)
"""Two neighbouring words of a name that are secret together, also when glued: `smscode`."""

GLUED_PAIRS = frozenset(pair.replace("_", "") for pair in SECRET_PAIRS)
GLUED_ENDINGS = ("password", "secret", "apikey")
GLUED_WEAK_ENDING = "token"
"""Ends of a last word without a gap: `dbpassword`, `csrfmiddlewaretoken`."""

PLAIN_LAST_WORDS = _words(
    """
    count counts type types length len size limit name names field fields ttl max min expires
    expiry timeout index position factory class maker enabled required
    """
)
"""A last word that makes the name speak *about* a secret: `token_count`, `cookie_name`."""

PHRASE_WORDS = _words("password passwd passphrase passcode pwd authorization")
"""A last word after whose colon several words may be the secret: `password: correct horse`."""


class Secrecy(IntEnum):
    """What a name promises of its value."""

    PLAIN = 0
    MANY = 1
    """Several of something weak: `tokens` may be a parser's, or a number of them."""
    WEAK = 2
    PIN = 3
    STRONG = 4


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PLAIN_VALUES = frozenset({"", "None", "True", "False", "null", "true", "false", "''", '""'})
_KEPT_NUMBERS = {
    Secrecy.MANY: re.compile(r"-?\d+(?:\.\d+)?\Z"),
    Secrecy.WEAK: re.compile(r"-?\d{1,4}(?:\.\d{1,4})?\Z"),
    Secrecy.PIN: re.compile(r"\d{1,2}\Z"),
}
_PIECE_OF_A_SECRET = re.compile(r"(?=[\w+/=.~-]{5})[A-Za-z_+/=.~-]{0,200}\d")
_KEPT = re.compile(r"'?\[(?:secret|Filtered|cut|[a-z_]{2,12})\]'?\Z")
_NAME_WRAP = re.compile(r"""\A[bru]{0,2}["'](.*)["']\Z""", re.DOTALL)


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


def _hide_long_tokens(text: str) -> str:
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

FORMS_BEFORE_NAMES = 5

_ANNOTATION = "str|int|bytes|bool|float|dict|list|tuple|set|object|Any|Optional|SecretStr"
_QUOTE = r"""\\{0,4}["']"""
_QUOTED_NAME = rf"{_QUOTE}(?P<name>[\w.-]{{1,100}}){_QUOTE}"

HEADS: tuple[re.Pattern[str], ...] = (
    # password=…  "password": …  user[password]=…  os.environ["DB_PASS"] = …  password%3D…
    re.compile(
        rf"(?:%5[bB]|%2[27]|(?<![\w-]))(?P<name>[\w-]++)(?P<close>(?:{_QUOTE}|%2[27])?)"
        rf"(?:\]|%5[dD]|\[\d{{0,4}}\])?(?:\s?:\s?(?:{_ANNOTATION})(?:\s?\|\s?None)?(?=\s?=))?"
        r"\s{0,3}(?P<mark>=>|==|=|:=|:|%3[dDaA])[^\S\n]{0,3}"
        r"(?:\n(?!Traceback|[\w-]{1,60}[ \t]?[:=]))?[ \t]{0,8}"
    ),
    # ('password', '…')  [b'password', b'…']
    re.compile(
        rf"[(\[]\s?[bBuU]?{_QUOTED_NAME}\s?,\s?"
        r"""(?=[bBuU]?(?:\\{0,4}"[^"\n]{0,8000}"|\\{0,4}'[^'\n]{0,8000}'|\[[^\[\]]{0,8000}\])\s?,?\s?[)\]])"""
    ),
    # {"name": "password", "value": …}
    re.compile(
        rf"(?i){_QUOTE}(?:name|key|field|header){_QUOTE}\s{{0,3}}:\s{{0,3}}{_QUOTED_NAME}\s{{0,3}},"
        rf"\s{{0,3}}{_QUOTE}values?{_QUOTE}\s{{0,3}}:\s{{0,3}}"
    ),
    # pydantic's errors(): 'loc': ('body', 'password'), 'msg': …, 'input': …
    re.compile(
        rf"{_QUOTE}loc{_QUOTE}\s?:\s?[(\[](?:[^()\[\]]{{0,200}}[\s,])?{_QUOTED_NAME}\s{{0,20}},?\s?[)\]]"
        rf"[^{{}}]{{0,300}}?{_QUOTE}input{_QUOTE}\s?:\s?"
    ),
    # pydantic's message: the field on a line, below it `[type=…, input_value=…, input_type=str]`
    re.compile(
        r"(?:^|\n|\\n)[ \t]{0,8}(?P<name>[\w.-]{1,200})(?:\n|\\n)[ \t]{1,8}"
        r"[^\n]{0,500}?\[type=\w{1,60}, input_value="
    ),
)
"""Where a name and then its value stand in text; each ends right before the value."""

_SCHEMES = r"(?i:token|bearer|basic|digest|negotiate|apikey|api-key)"
_BARE = r"""[^\s"'&,;<>(){}\[\]\\]"""
_WORD = re.compile(rf"(?:{_SCHEMES}[ \t]{{1,3}})?{_BARE}++")
_PHRASE = re.compile(rf"{_BARE}++(?:[ \t]{{1,3}}(?![=|]|[\w-]{{1,40}}[ \t]?[:=]){_BARE}++){{0,12}}")
_QUOTED = re.compile(
    r"""[bBrRuUfF]{0,2}(?:"{3}.{1,8000}?"{3}|'{3}.{1,8000}?'{3}"""
    r"""|"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'"""
    r"""|(?P<mark>\\{1,4}["'])(?:[^\\\n]|\\(?!["'\\])|(?!(?P=mark))\\)*+(?P=mark))""",
    re.DOTALL,
)
_UNCLOSED = re.compile(r"""[bBrRuUfF]{0,2}\\{0,4}["'][^\n]*+""")
_PLACEHOLDER = re.compile(
    r"""["']?\[(?:secret|Filtered|cut|email|card|ip|token|jwt|private_key|user|session)\]["']?"""
)
_IN_CONTAINER = re.compile(
    r"""(?P<open>[\[({])|(?P<close>[\])}])|"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?"""
)
_FLAT = re.compile(r"\[[^\[\](){}]{0,8000}\]|\([^\[\](){}]{0,8000}\)|\{[^\[\](){}]{0,8000}\}")


def _hide_named(text: str, head: re.Pattern[str]) -> str:
    """Return text without the values that stand behind secret names."""
    out: list[str] = []
    done = at = 0
    while found := head.search(text, at):
        at = found.end()
        secrecy = _secrecy(found["name"][-200:])
        if secrecy and not _is_prose(found):
            at, shown = _value_at(text, at, secrecy, found)
            out += [text[done : found.end()], shown]
            done = at
    return "".join([*out, text[done:]]) if out else text


def _is_prose(found: re.Match[str]) -> bool:
    """Say whether a colon follows a mere word: `All pass: yes`."""
    return found["name"] == "pass" and found.groupdict().get("mark") == ":" and not found["close"]


def _value_at(text: str, at: int, secrecy: Secrecy, head: re.Match[str]) -> tuple[int, str]:
    """Return where the value that begins at a place ends, and what is shown of it."""
    if kept := _PLACEHOLDER.match(text, at):
        return kept.end(), kept.group()
    if text[at : at + 1] in ("[", "(", "{"):
        return _container_at(text, at, secrecy)
    found = _QUOTED.match(text, at) or _UNCLOSED.match(text, at)
    if not found:
        found = (_PHRASE if _takes_phrases(head) else _WORD).match(text, at)
        if not found or found.group() in _ANNOTATION.split("|"):
            return at, ""
    value = found.group()
    return found.end(), value if _hide(secrecy, _bare(value)) is not SECRET else SECRET


def _bare(value: str) -> str:
    return value.lstrip("bBrRuUfF\\").strip("\\\"'") if value[-1:] in "\"'" else value


def _takes_phrases(head: re.Match[str]) -> bool:
    words = _WORDS.findall(head["name"][-200:])
    return head.groupdict().get("mark") == ":" and words[-1].lower() in PHRASE_WORDS


def _container_at(text: str, at: int, secrecy: Secrecy) -> tuple[int, str]:
    """Return the end of a list, tuple or object in text; a cut one ends with the text.

    A weak name hides only a flat one that holds more than a parser's tokens.
    """
    if secrecy < Secrecy.PIN:
        flat = _FLAT.match(text, at)
        is_secret = flat and any(map(_PIECE_OF_A_SECRET.search, flat.group()[1:-1].split(",")))
        return (flat.end(), SECRET) if flat and is_secret else (at, "")
    depth = 0
    for part in _IN_CONTAINER.finditer(text, at):
        depth += bool(part["open"]) - bool(part["close"])
        if depth == 0:
            is_empty = part.end() - at == 2
            return part.end(), text[at : part.end()] if is_empty else SECRET
    return len(text), SECRET


_WORTH_A_LOOK = re.compile(
    r"[@=:%,]|\d{3}|\d\.\d|[\w+-]{16}|(?i:bearer|basic|digest|negotiate)|-----"
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
    for pattern in PATTERNS[:FORMS_BEFORE_NAMES]:
        text = pattern.hide(text)
    for head in HEADS:
        text = _hide_named(text, head)
    for pattern in PATTERNS[FORMS_BEFORE_NAMES:]:
        text = pattern.hide(text)
    return _hide_long_tokens(text)


# Telemetry says the same short things over and over: routes, methods, names.
_short = lru_cache(maxsize=8_192)(_replace_forms)


def is_secret_name(name: str) -> bool:
    """Say whether a name promises a secret: `userPassword`, `X-Api-Key`, `b'cookie'`."""
    return _secrecy(name) is not Secrecy.PLAIN


@lru_cache(maxsize=4_096)
def _secrecy(name: str) -> Secrecy:
    wrapped = _NAME_WRAP.match(name)
    bare = wrapped.group(1) if wrapped else name
    words = [word.lower() for word in _WORDS.findall(bare[-200:])]
    if not words or words[-1] in PLAIN_LAST_WORDS:
        return Secrecy.PLAIN
    ones = [_singular(word) for word in words]
    said = {*ones, "".join(words)}
    pairs = {f"{first}_{second}" for first, second in pairwise(ones)}
    if said & STRONG_WORDS or pairs & SECRET_PAIRS or said & GLUED_PAIRS:
        return Secrecy.STRONG
    if ones[-1].endswith(GLUED_ENDINGS):
        return Secrecy.STRONG
    if PIN_WORDS.intersection(words):
        return Secrecy.PIN
    return _weakness(words, ones)


def _weakness(words: list[str], ones: list[str]) -> Secrecy:
    if WEAK_WORDS.intersection(words) or words[-1] in WEAK_LAST_WORDS:
        return Secrecy.WEAK
    if words[-1].endswith(GLUED_WEAK_ENDING):
        return Secrecy.WEAK
    return Secrecy.MANY if ones[-1] in WEAK_WORDS else Secrecy.PLAIN


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _hide(secrecy: Secrecy, value: Any) -> Any:
    """Return what may stay of a value under a secret name."""
    if value is None or isinstance(value, bool):
        return value
    if secrecy is Secrecy.MANY and isinstance(value, Mapping | list | tuple):
        return SECRET if _holds_a_secret(value) else value
    text = str(value) if isinstance(value, int | float | str) else "…"
    if text in _PLAIN_VALUES or _KEPT.match(text):
        return value
    kept = _KEPT_NUMBERS.get(secrecy)
    is_punctuation = secrecy < Secrecy.PIN and text != "…" and not any(map(str.isalnum, text))
    return value if is_punctuation or (kept and kept.match(text)) else SECRET


def _holds_a_secret(values: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> bool:
    """Say whether more than a parser's short tokens and numbers stand in a container."""
    inside = values.values() if isinstance(values, Mapping) else values
    return any(
        bool(_PIECE_OF_A_SECRET.search(value))
        if isinstance(value, str)
        else isinstance(value, Mapping | list | tuple)
        for value in inside
    )


LABELS = (("name", "value"), ("key", "value"), ("field", "value"), ("header", "value"),
          ("name", "values"), ("loc", "input"))  # fmt: skip
"""Entries of one mapping that are a name and its value in disguise; case does not matter."""


def _labelled(value: Mapping[Any, Any]) -> tuple[Secrecy, Any]:
    """Return what a mapping like `{"name": "password", "value": …}` promises, and of which key."""
    keys = {key.lower(): key for key in value if isinstance(key, str)}
    for label, place in LABELS:
        if label in keys and place in keys:
            named = value[keys[label]]
            last = named[-1] if isinstance(named, list | tuple) and named else named
            if isinstance(last, str) and _secrecy(last):
                return _secrecy(last), keys[place]
    return Secrecy.PLAIN, None


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
        label, place = _labelled(value)
        clean: dict[str, Any] = {}
        for key, inner in value.items():
            if self.left < 0:
                clean[CUT] = CUT
                break
            name = str(key)
            secrecy = max(label, _secrecy(name)) if key == place else _secrecy(name)
            clean[redact_text(name)] = self.pair(secrecy, inner, depth)
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

    def pair(self, secrecy: Secrecy, value: Any, depth: int) -> Any:
        if secrecy and (hidden := _hide(secrecy, value)) is SECRET:
            return hidden
        return self.value(value, depth + 1)


def redact_value(value: Any, name: str = "") -> Any:
    """Return a JSON-like value without secrets; `name` is what the sender called it."""
    return _Walk().pair(_secrecy(name), value, 0)


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
