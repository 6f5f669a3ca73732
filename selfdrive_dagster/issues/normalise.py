"""Messages to templates: `user 42 not found` and `user 7 not found` are one sentence.

One ordered table of named patterns; each match becomes `<name>`. The same chain runs in Python
and, as a portable SQL expression, in DuckDB and Spark: patterns keep to what RE2 knows (no
look-around, no back-references) and to explicit ASCII classes, so that both give equal text
(tested). Belongs here: what varies between two tellings of one message. Does not belong: what
makes two crashes one issue.

The templates are part of the fingerprint: never edit the table without a new
`fingerprint.FINGERPRINT`.
"""

import re

import msgspec

LENGTH = 1000
"""Characters of a message that are read; the rest tells nothing apart."""


class Pattern(msgspec.Struct, frozen=True):
    """One kind of thing that varies; `regex` keeps to the common ground of `re` and RE2.

    `needs` matches somewhere in every text in which `regex` does: where it does not, the pattern
    need not be tried.
    """

    name: str
    regex: str
    needs: str


_DIGIT, _DOTTED, _JOINED = "[0-9]", "[0-9][.][0-9]", "[0-9a-fA-F]-[0-9a-fA-F]"
_MIXED, _LONG = "[0-9][a-f]|[a-f][0-9]", "[0-9a-fA-F]{32}"
_URL, _AT, _COLON, _HEX, _SLASH = "://", "@", ":", "0[xX]", "/"
_SINGLE, _DOUBLE, _UNTIDY = "'", '"', "[\\t\\r\\n]|  |^ | $"

_NUMBER = r"[0-9]+(?:[.][0-9]+)?"

PATTERNS: tuple[Pattern, ...] = (
    Pattern("traceparent", r"\b00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b", _JOINED),
    Pattern("url", r"\b[A-Za-z][A-Za-z0-9+.-]{1,15}://[^ \t\r\n\"'<>]+", _URL),
    Pattern("email", r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:[.][A-Za-z0-9-]+)+\b", _AT),
    Pattern(
        "uuid",
        r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
        _JOINED,
    ),
    Pattern(
        "time",
        r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}"
        r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?\b",
        _JOINED,
    ),
    Pattern("time", r"\b[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?\b", _COLON),
    Pattern("ip", r"\b[0-9]{1,3}(?:[.][0-9]{1,3}){3}(?::[0-9]{1,5})?\b", _DOTTED),
    Pattern("ip", r"\b[0-9a-fA-F]{1,4}(?:::?[0-9a-fA-F]{1,4}){3,7}\b", _COLON),
    Pattern("hex", r"\b0[xX][0-9a-fA-F]+\b", _HEX),
    Pattern("hash", r"\b[0-9a-fA-F]{32,128}\b", _LONG),
    # Seven digits and letters mixed look like a commit or a short id; plain words do not.
    Pattern("hash", r"\b(?:[0-9]+[a-f]|[a-f]+[0-9])[0-9a-f]{5,}\b", _MIXED),
    Pattern("path", r"(?:/[A-Za-z0-9_.@%+-]+){2,}/?", _SLASH),
    # Quoted text stays when it is a plain name ('NoneType' object has no attribute 'price').
    Pattern("quoted", r"\B'[^'\n]*[^A-Za-z_.'\n][^'\n]*'", _SINGLE),
    Pattern("quoted", r"\"[^\"\n]*[^A-Za-z_.\"\n][^\"\n]*\"", _DOUBLE),
    Pattern(
        "duration",
        rf"-?\b{_NUMBER} ?(?:ns|us|µs|ms|s|sec|secs|seconds?|mins?|minutes?|h|hours?|days?)\b",
        _DIGIT,
    ),
    Pattern("size", rf"\b{_NUMBER} ?(?:[KMGTkmgt]i?[Bb]|bytes?)\b", _DIGIT),
    Pattern("float", r"-?\b[0-9]+[.][0-9]+(?:[eE][+-]?[0-9]+)?\b", _DOTTED),
    Pattern("int", r"-?\b[0-9]+\b", _DIGIT),
    # Numbers inside names: order_12345, user4711; two digits stay (utf8, base64).
    Pattern("int", r"[0-9]{3,}", _DIGIT),
)

_TIDY = (Pattern(" ", r"[ \t\r\n]+", _UNTIDY), Pattern("", r"^ | $", _UNTIDY))
"""The last two steps. Not `trim`: engines differ in what they take for a space."""

_STEPS = tuple((p.regex, f"<{p.name}>", p.needs) for p in PATTERNS) + tuple(
    (p.regex, p.name, p.needs) for p in _TIDY
)
_COMPILED = tuple((re.compile(regex, re.ASCII), instead) for regex, instead, _ in _STEPS)

_RARE = (_URL, _AT, _SLASH, _COLON, _HEX, _LONG, _MIXED, _UNTIDY)
_KITS = (
    (*_RARE, _JOINED, _DOTTED, _SINGLE, _DOUBLE, _DIGIT),
    (*_RARE, _JOINED, _DOTTED, _SINGLE, _DOUBLE),
    (*_RARE, _JOINED, _DOTTED),
    (_URL, _AT, _SLASH, _COLON, _LONG, _UNTIDY),
    (_URL, _AT, _UNTIDY),
    (),
)
"""Kinds of messages, the most common first, by the needs that none of them meets.

Most messages hold next to nothing that varies. One look tells which patterns cannot match, which
is several times as fast as to try them all.
"""


def steps() -> tuple[tuple[str, str], ...]:
    """Return what is replaced by what, in order."""
    return tuple((regex, instead) for regex, instead, _ in _STEPS)


def template(message: str) -> str:
    """Return the message with everything that varies replaced by typed placeholders."""
    text = message[:LENGTH]
    for pattern, instead in _COMPILED:
        text = pattern.sub(instead, text)
    return text


def template_sql(expression: str) -> str:
    """Return a portable SQL expression that does what `template` does to a text column.

    `expression` is SQL of ours, never text from outside. Ask it of distinct messages: that is
    where the time goes.
    """
    text = f"substr({expression}, 1, {LENGTH})"
    branches = [
        f"WHEN NOT {_matches(text, unmet)} THEN {_chain(text, unmet)}" for unmet in _KITS[:-1]
    ]
    return f"CASE {' '.join(branches)} ELSE {_chain(text, ())} END"


def _matches(text: str, needs: tuple[str, ...]) -> str:
    return f"regexp_matches({text}, {_quoted('|'.join(needs))})"


def _chain(text: str, unmet: tuple[str, ...]) -> str:
    """Return the steps that a text may need which meets none of these needs."""
    sql = text
    for regex, instead, needs in _STEPS:
        if needs not in unmet:
            sql = f"regexp_replace({sql}, {_quoted(regex)}, {_quoted(instead)}, 'g')"
    return sql


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
