"""Heads: where a name and then its value stand in text, and how far the value reaches."""

import re

from selfdrive_dagster.telemetry.redact.names import (
    PHRASE_WORDS,
    PIECE_OF_A_SECRET,
    SECRET,
    WORDS,
    Secrecy,
    hide,
    secrecy_of,
)

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


def hide_named(text: str, head: re.Pattern[str]) -> str:
    """Return text without the values that stand behind secret names."""
    out: list[str] = []
    done = at = 0
    while found := head.search(text, at):
        at = found.end()
        secrecy = secrecy_of(found["name"][-200:])
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
    return found.end(), value if hide(secrecy, _bare(value)) is not SECRET else SECRET


def _bare(value: str) -> str:
    return value.lstrip("bBrRuUfF\\").strip("\\\"'") if value[-1:] in "\"'" else value


def _takes_phrases(head: re.Match[str]) -> bool:
    words = WORDS.findall(head["name"][-200:])
    return head.groupdict().get("mark") == ":" and words[-1].lower() in PHRASE_WORDS


def _container_at(text: str, at: int, secrecy: Secrecy) -> tuple[int, str]:
    """Return the end of a list, tuple or object in text; a cut one ends with the text.

    A weak name hides only a flat one that holds more than a parser's tokens.
    """
    if secrecy < Secrecy.PIN:
        flat = _FLAT.match(text, at)
        is_secret = flat and any(map(PIECE_OF_A_SECRET.search, flat.group()[1:-1].split(",")))
        return (flat.end(), SECRET) if flat and is_secret else (at, "")
    depth = 0
    for part in _IN_CONTAINER.finditer(text, at):
        depth += bool(part["open"]) - bool(part["close"])
        if depth == 0:
            is_empty = part.end() - at == 2
            return part.end(), text[at : part.end()] if is_empty else SECRET
    return len(text), SECRET
