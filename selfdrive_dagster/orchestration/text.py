"""Strangers' text on its way into the Dagster UI: escaped at the sink, always.

The UI renders Markdown metadata. What telemetry or a product wrote must not become a link, an
image, a heading or a table of its own, nor hide behind invisible characters. The UI also links
bare addresses, and it looks for them after it has taken the backslashes away; only inside code
does it not look.
"""

import re
import unicodedata
from collections.abc import Sequence

import dagster as dg

MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&:/])")
ADDRESS = re.compile(r"([^\s|`]*(?:://|www\.|@)[^\s|`]*)", re.IGNORECASE)
LONGEST = 300


def plain(text: str, longest: int = LONGEST) -> str:
    """Return text on one line, without control, bidi and invisible characters."""
    shown = "".join(c if unicodedata.category(c) not in HIDDEN else " " for c in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def escaped(text: str, longest: int = LONGEST) -> str:
    """Return text that Markdown shows letter by letter, what may be an address as code."""
    pieces = ADDRESS.split(plain(text, longest))
    return "".join(
        f"`{piece}`" if place % 2 else MARKUP.sub(r"\\\1", piece)
        for place, piece in enumerate(pieces)
    )


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> dg.MarkdownMetadataValue:
    """Return a Markdown table of plain texts, each escaped."""
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    lines += [" | ".join(escaped(cell) for cell in row) for row in rows]
    return dg.MetadataValue.md("\n".join(f"| {line} |" for line in lines))


def fenced(text: str, language: str) -> dg.MarkdownMetadataValue:
    """Return a block of code; the fence is longer than any run of backticks in it."""
    shown = "".join(
        c if c in "\n\t" or unicodedata.category(c) not in HIDDEN else f"\\u{ord(c):04x}"
        for c in text
    )
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return dg.MetadataValue.md(f"{fence}{language}\n{shown}\n{fence}")
