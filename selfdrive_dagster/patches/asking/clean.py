"""Clean what goes into a prompt: no hidden characters, no secrets, strangers' text as mere data.

A stranger's text can ask a model for anything, and no filter can tell. So it is shown little of
it, capped and escaped as JSON, and nothing that it asks for is believed later. Secrets go by the
detectors of `telemetry.redact`: all of them for text, those of forms for code, where `session:
Session` is no secret. Does not belong here: which texts are shown (`context`).
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from selfdrive_dagster.telemetry.redact import is_secret_name, redact_text
from selfdrive_dagster.telemetry.redact.forms import PATTERNS, hide_long_tokens

CUT = "…"
SHORTEST_SECRET = 8

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_KEPT = frozenset("\n\t")
_NAMED_LITERAL = re.compile(
    r"""(?P<name>\w{2,60})"""
    r"""(?P<gap>["'\]]{0,3}\s{0,3}(?::\s?[\w.|\[\] ]{1,40}?)?\s{0,3}[=:]\s{0,3})"""
    r"""(?P<quote>[bru]{0,2}(?P<mark>["']))(?P<value>[^"'\n]{1,400})(?P=mark)"""
)


def plain(text: str) -> str:
    """Return text without control, bidi, zero-width, private and unassigned characters."""
    text = _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        letter for letter in text if letter in _KEPT or unicodedata.category(letter) not in _HIDDEN
    )


def is_plain(text: str) -> bool:
    """Say whether a text holds nothing that `plain` takes out, carriage returns aside."""
    return plain(text) == text.replace("\r\n", "\n")


def data(text: str, most: int) -> str:
    """Return a stranger's text as a JSON string of ASCII: cleaned, scrubbed, capped."""
    known = redact_text(plain(text))
    shown = known if len(known) <= most else known[:most] + CUT
    return json.dumps(redact_text(shown))


def prose(text: str, most: int) -> str:
    """Return a text of the repository: cleaned, scrubbed by all detectors, capped."""
    known = plain(text)
    return "\n".join(redact_text(line) for line in known[:most].split("\n"))


def code(text: str) -> str:
    """Return code, cleaned and scrubbed of what has a secret's form or a secret's name."""
    text = _NAMED_LITERAL.sub(_hide_literal, plain(text))
    for pattern in PATTERNS:
        if pattern.name not in _PROSE_FORMS:
            text = pattern.hide(text)
    return hide_long_tokens(text)


_PROSE_FORMS = frozenset(("header", "bearer"))
"""Forms whose words are code's own: `cookie: str`, `basic = load(…)`."""


def _hide_literal(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"]):
        return found.group()
    return f"{found['name']}{found['gap']}{found['quote']}[secret]{found['mark']}"


def own_secrets(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the secret values of an environment: under secret names, and passwords in URLs."""
    found = {value for name, value in environ.items() if is_secret_name(name)}
    found |= {word for value in environ.values() for word in _passwords(value)}
    return frozenset(value for value in found if len(value) >= SHORTEST_SECRET)


def _passwords(value: str) -> Iterable[str]:
    try:
        password = urlsplit(value).password if "://" in value else None
    except ValueError:  # a broken IPv6 host
        return ()
    return (password, unquote(password)) if password else ()


def leak(texts: Iterable[str], own: frozenset[str]) -> str:
    """Say what still stands in a finished prompt that must not leave, "" when nothing does."""
    for text in texts:
        if any(secret in text or json.dumps(secret)[1:-1] in text for secret in own):
            return "a secret of this process's own environment stands in it"
        if not is_plain(text):
            return "hidden characters stand in it"
        if code(text) != text:
            return "a detector of secrets still fires in it"
    return ""
