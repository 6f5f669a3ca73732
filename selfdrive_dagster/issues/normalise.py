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
    """One kind of thing that varies; `regex` keeps to the common ground of `re` and RE2."""

    name: str
    regex: str


_NUMBER = r"[0-9]+(?:[.][0-9]+)?"

PATTERNS: tuple[Pattern, ...] = (
    Pattern("traceparent", r"\b00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\b"),
    Pattern("url", r"\b[A-Za-z][A-Za-z0-9+.-]{1,15}://[^ \t\r\n\"'<>]+"),
    Pattern("email", r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:[.][A-Za-z0-9-]+)+\b"),
    Pattern(
        "uuid",
        r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
    ),
    Pattern(
        "time",
        r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}"
        r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?\b",
    ),
    Pattern("time", r"\b[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?\b"),
    Pattern("ip", r"\b[0-9]{1,3}(?:[.][0-9]{1,3}){3}(?::[0-9]{1,5})?\b"),
    Pattern("ip", r"\b[0-9a-fA-F]{1,4}(?:::?[0-9a-fA-F]{1,4}){3,7}\b"),
    Pattern("hex", r"\b0[xX][0-9a-fA-F]+\b"),
    Pattern("hash", r"\b[0-9a-fA-F]{32,128}\b"),
    # Seven digits and letters mixed look like a commit or a short id; plain words do not.
    Pattern("hash", r"\b(?:[0-9]+[a-f]|[a-f]+[0-9])[0-9a-f]{5,}\b"),
    Pattern("path", r"(?:/[A-Za-z0-9_.@%+-]+){2,}/?"),
    # Quoted text stays when it is a plain name ('NoneType' object has no attribute 'price').
    Pattern("quoted", r"\B'[^'\n]*[^A-Za-z_.'\n][^'\n]*'"),
    Pattern("quoted", r"\"[^\"\n]*[^A-Za-z_.\"\n][^\"\n]*\""),
    Pattern(
        "duration",
        rf"-?\b{_NUMBER} ?(?:ns|us|µs|ms|s|sec|secs|seconds?|mins?|minutes?|h|hours?|days?)\b",
    ),
    Pattern("size", rf"\b{_NUMBER} ?(?:[KMGTkmgt]i?[Bb]|bytes?)\b"),
    Pattern("float", r"-?\b[0-9]+[.][0-9]+(?:[eE][+-]?[0-9]+)?\b"),
    Pattern("int", r"-?\b[0-9]+\b"),
    # Numbers inside names: order_12345, user4711; two digits stay (utf8, base64).
    Pattern("int", r"[0-9]{3,}"),
)

_TIDY: tuple[tuple[str, str], ...] = ((r"[ \t\r\n]+", " "), (r"^ | $", ""))
"""The last two steps. Not `trim`: engines differ in what they take for a space."""

_STEPS = tuple((each.regex, f"<{each.name}>") for each in PATTERNS) + _TIDY
_COMPILED = tuple((re.compile(regex, re.ASCII), instead) for regex, instead in _STEPS)


def template(message: str) -> str:
    """Return the message with everything that varies replaced by typed placeholders."""
    text = message[:LENGTH]
    for pattern, instead in _COMPILED:
        text = pattern.sub(instead, text)
    return text


def template_sql(expression: str) -> str:
    """Return a portable SQL expression that does what `template` does to a text column.

    `expression` is SQL of ours, never text from outside.
    """
    sql = f"substr({expression}, 1, {LENGTH})"
    for regex, instead in _STEPS:
        quoted = regex.replace("'", "''")
        sql = f"regexp_replace({sql}, '{quoted}', '{instead}', 'g')"
    return sql
