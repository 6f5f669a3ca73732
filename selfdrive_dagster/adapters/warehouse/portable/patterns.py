"""Regular expressions that RE2 (DuckDB), Java (Spark) and Python read alike.

What may stand in a pattern, and what a pattern of ours is in Java. Java of this age knows letters
beyond ASCII at `\\b` but not in `\\w`, lets `$` stand before a last line break, and nests classes.
"""

import re
import warnings
from collections.abc import Iterator
from typing import Any

from selfdrive_dagster.errors import BadInput

_WORD = "[0-9A-Za-z_]"
_AT_WORD = {
    "b": f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
    "B": f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
}
_SPACE = r"\t\n\f\r "

_PART = re.compile(r"\\.|\(\?.?|.", re.DOTALL)

_BAD = (
    (re.compile(r"\(\?(?!:)"), "(?…) other than (?:…)"),
    (re.compile(r"\\[^\W_bBdDwWsStnrfv]"), "an escape that is no \\b \\B \\d \\D \\w \\W \\s \\S"),
    (re.compile(r"[*+?}]\+"), "a possessive quantifier"),
    (re.compile(r"\[:"), "a named class [:…:]"),
)


def is_matching(node: Any) -> bool:
    """Say whether a node of a query holds a pattern."""
    from sqlglot import exp

    others = (exp.RegexpFullMatch, exp.RegexpExtractAll, exp.RegexpSplit, exp.RegexpILike)
    return isinstance(node, (exp.RegexpLike, exp.RegexpReplace, exp.RegexpExtract, *others))


def fault_of_pattern(node: Any) -> str:
    """Return why the engines would not match alike, "" when they do."""
    from sqlglot import exp

    if not isinstance(node, (exp.RegexpLike, exp.RegexpReplace, exp.RegexpExtract)):
        return "regexp_full_match and others: regexp_matches, regexp_replace, regexp_extract"
    if not (isinstance(node.expression, exp.Literal) and node.expression.is_string):
        return "a pattern that is no literal: write it out"
    if isinstance(node, exp.RegexpReplace) and _flags(node) != "g":
        return "regexp_replace without 'g': Spark replaces every match"
    if isinstance(node, exp.RegexpLike) and node.args.get("flag") is not None:
        return "regexp_matches with flags: lower(x)"
    pattern = node.expression.name
    told = [says for bad, says in _BAD if bad.search(pattern)]
    if not told:
        try:
            with warnings.catch_warnings(action="ignore"):
                re.compile(pattern)
        except re.error as fault:
            told = [str(fault)]
    return f"the pattern {pattern!r} holds {told[0]}" if told else ""


def _flags(node: Any) -> str:
    flags = node.args.get("modifiers")
    return flags.name if flags is not None else ""


def in_java(pattern: str) -> str:
    """Return what matches in Java as a pattern of ours matches in RE2."""
    return "".join(_translated(pattern))


def _translated(pattern: str) -> Iterator[str]:
    in_class = False
    for part in _PART.findall(pattern):
        if part[0] == "\\" and part[1] in _AT_WORD and not in_class:
            yield _AT_WORD[part[1]]
        elif part == "\\s":
            yield _SPACE if in_class else f"[{_SPACE}]"
        elif part == "\\S":
            if in_class:
                raise BadInput(f"the pattern {pattern!r} holds \\S in a class")
            yield f"[^{_SPACE}]"
        elif in_class:
            yield f"\\{part}" if part in ("[", "&") else part
            in_class = part != "]"
        else:
            yield {"$": "\\z", ".": "[^\\n]"}.get(part, part)
            in_class = part == "["


def replacement_in_java(text: str) -> str:
    """Return what Java puts in place of a match where RE2 puts `text`."""
    plain = text.replace("$", "\\$")
    return re.sub(r"\\([0-9])", r"$\1", plain)
