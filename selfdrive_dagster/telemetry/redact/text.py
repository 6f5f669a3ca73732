"""Text: first the forms that hold names, then names with their values, then all other forms."""

import re
from functools import lru_cache

from selfdrive_dagster.telemetry.redact.forms import PATTERNS, hide_long_tokens
from selfdrive_dagster.telemetry.redact.heads import HEADS, hide_named

MAX_TEXT_CHARS = 65_536
SHORT_CHARS = 128
CUT = "[cut]"
FORMS_BEFORE_NAMES = 5

_WORTH_A_LOOK = re.compile(
    r"[@=:%,]|\d{3}|\d\.\d|[\w+-]{16}|(?i:bearer|basic|digest|negotiate)|-----"
)


PLAIN_PATH = re.compile(r"(?:/(?:[a-z]{1,23}|\d{1,12}))+/?\Z")
"""Paths of words and short numbers: no form begins or fits there. Most telemetry is such."""


def redact_text(text: str) -> str:
    """Return `text` with every form of PATTERNS replaced, cut at MAX_TEXT_CHARS characters."""
    if len(text) > MAX_TEXT_CHARS:
        text = text[:MAX_TEXT_CHARS] + CUT
    if not text.isascii():
        # A lone surrogate cannot be written as UTF-8; a question mark stands in for it.
        text = text.encode("utf-8", "replace").decode("utf-8")
    return _short(text) if len(text) <= SHORT_CHARS else _replace_forms(text)


def _replace_forms(text: str) -> str:
    if not _WORTH_A_LOOK.search(text) or PLAIN_PATH.match(text):
        return text
    return replace_all_forms(text)


def replace_all_forms(text: str) -> str:
    """Return `text` with every form replaced, however harmless it looks."""
    for pattern in PATTERNS[:FORMS_BEFORE_NAMES]:
        text = pattern.hide(text)
    for head in HEADS:
        text = hide_named(text, head)
    for pattern in PATTERNS[FORMS_BEFORE_NAMES:]:
        text = pattern.hide(text)
    return hide_long_tokens(text)


# Telemetry says the same short things over and over: routes, methods, names.
_short = lru_cache(maxsize=8_192)(_replace_forms)
