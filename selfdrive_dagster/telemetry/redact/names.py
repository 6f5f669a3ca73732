"""Names: which of them promise a secret, and what may stay of a value beside one.

Words decide, not whole names, so `userPassword` and `X-Api-Key` are known without being listed.
Does not belong here: where a name and a value stand together (`heads`, `tree`).
"""

import re
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any

SECRET = "[secret]"  # noqa: S105  a placeholder, the opposite of a secret


def words(lines: str) -> frozenset[str]:
    """Return the words of a text, as a set."""
    return frozenset(lines.split())


STRONG_WORDS = words(
    """
    password passwd passphrase pwd passcode secret credential authorization cookie cvv cvc ssn otp
    totp apikey privatekey accesskey csrf xsrf csrftoken xsrftoken sessionid sessid jsessionid
    phpsessid connectionstring jwt dsn dbpass userpass smtppass mailpass adminpass rootpass sshpass
    """
)
"""A word of the name that hides any value, except None, booleans and the empty text."""

PIN_WORDS = words("pin")
"""A word that hides texts and longer numbers: a PIN has four digits, the pin of a chip has two."""

WEAK_WORDS = words(
    """
    token session sid auth bearer signature sig nonce
    """
)
"""A word that hides texts and containers, but leaves short numbers: `token = 3` is a parser's."""

WEAK_LAST_WORDS = words("pass")
"""The same, but only at the end of a name: `DB_PASS`, never `pass_rate`."""

SECRET_PAIRS = words(
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

PLAIN_LAST_WORDS = words(
    """
    count counts type types length len size limit name names field fields ttl max min expires
    expiry timeout index position factory class maker enabled required
    """
)
"""A last word that makes the name speak *about* a secret: `token_count`, `cookie_name`."""

PHRASE_WORDS = words("password passwd passphrase passcode pwd authorization")
"""A last word after whose colon several words may be the secret: `password: correct horse`."""


class Secrecy(IntEnum):
    """What a name promises of its value."""

    PLAIN = 0
    MANY = 1
    """Several of something weak: `tokens` may be a parser's, or a number of them."""
    WEAK = 2
    PIN = 3
    STRONG = 4


WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NAME_WRAP = re.compile(r"""\A[bru]{0,2}["'](.*)["']\Z""", re.DOTALL)
_PLAIN_VALUES = frozenset({"", "None", "True", "False", "null", "true", "false", "''", '""'})
_KEPT_NUMBERS = {
    Secrecy.MANY: re.compile(r"-?\d+(?:\.\d+)?\Z"),
    Secrecy.WEAK: re.compile(r"-?\d{1,4}(?:\.\d{1,4})?\Z"),
    Secrecy.PIN: re.compile(r"\d{1,2}\Z"),
}
PIECE_OF_A_SECRET = re.compile(r"(?=[\w+/=.~-]{5})[A-Za-z_+/=.~-]{0,200}\d")
_KEPT = re.compile(r"'?\[(?:secret|Filtered|cut|[a-z_]{2,12})\]'?\Z")


def is_secret_name(name: str) -> bool:
    """Say whether a name promises a secret: `userPassword`, `X-Api-Key`, `b'cookie'`."""
    return secrecy_of(name) is not Secrecy.PLAIN


@lru_cache(maxsize=4_096)
def secrecy_of(name: str) -> Secrecy:
    """Return what a name promises of its value."""
    wrapped = _NAME_WRAP.match(name)
    bare = wrapped.group(1) if wrapped else name
    words = [word.lower() for word in WORDS.findall(bare[-200:])]
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


def hide(secrecy: Secrecy, value: Any) -> Any:
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
        bool(PIECE_OF_A_SECRET.search(value))
        if isinstance(value, str)
        else isinstance(value, Mapping | list | tuple)
        for value in inside
    )
