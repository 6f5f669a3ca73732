"""Strangers' text on its way into Markdown and commit messages: quoted at the sink, always.

A forge does more than CommonMark: it links `@user`, `#12`, bare addresses and digests in
whatever text it renders, backslashes or not, but never inside code. So prose keeps the plain
words of a text, and every word that is more than letters or digits becomes a code span.
Belongs here: making text harmless. Does not belong: what a page says.
"""

import re
import textwrap
import unicodedata

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
LONGEST = 400
SUBJECT = 72
"""Characters of a commit's subject and of a line of its body."""

LETTERS = r"[^\W\d_]+"
PLAIN = re.compile(rf"""["'(]?(?:{LETTERS}(?:[-']{LETTERS})*|\d+(?:\.\d+)?)["']?\)?[,;:.!?]*""")
LOOKS_LIKE_A_DIGEST = re.compile(r"[0-9a-f]{7,}", re.IGNORECASE)
LIST_ITEM = re.compile(r"\d+[.)](?!\d).*")
WORD = re.compile(r"(?P<core>.*?)(?P<end>[,;:.!?]*)")
SPAN = re.compile(r"`([^`]+)`")

FORGE_WORDS = (
    (re.compile(r"@(?=\S)"), "(at)"),
    (re.compile(r"\bGH-(?=\d)", re.IGNORECASE), "GH "),
    (re.compile(r"[#!](?=\d)"), "no. "),
    (re.compile(r"://"), " "),
    (re.compile(r"\[([\w\s-]*\b(?:skip|no)\b[\w\s-]*)\]", re.IGNORECASE), r"(\1)"),
    (re.compile(r"\*+(NO_CI)\*+", re.IGNORECASE), r"\1"),
)
"""What a forge reads in a commit message: people to tell, issues to close, addresses, and
orders to leave the tests out. These come last: what is put in above must not make one."""

TRAILER = re.compile(r"^[ \t]*(?P<token>[\w-]+)[ \t]*:", re.MULTILINE)
PICKED = re.compile(r"^[ \t]*\(cherry picked from", re.MULTILINE | re.IGNORECASE)


def spelled(text: str, keep: str = "") -> str:
    """Return text whose control, bidi and invisible characters are spelled out."""
    return "".join(
        c if c in keep or unicodedata.category(c) not in HIDDEN else ascii(c)[1:-1] for c in text
    )


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return text on one line of bounded length, nothing hidden in it."""
    line = " ".join(spelled(" ".join(text.split())).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def prose(text: str, longest: int = LONGEST) -> str:
    """Return a sentence that may hold strangers' words, as Markdown that shows it as it is."""
    shown: list[str] = []
    quoted: list[str] = []  # neighbours that need quoting share one code span
    for word in one_line(text, longest).split():
        if is_plain(word):
            shown += [code(" ".join(quoted)), word] if quoted else [word]
            quoted = []
            continue
        opening, core, closing = parts_of(word)
        if quoted and opening:
            shown.append(code(" ".join(quoted)))
            quoted = []
        quoted.append(core)
        if opening or closing:
            shown.append(f"{opening}{code(' '.join(quoted))}{closing}")
            quoted = []
    return " ".join([*shown, code(" ".join(quoted))] if quoted else shown)


def is_plain(word: str) -> bool:
    """Say whether neither Markdown nor a forge reads anything into a word."""
    bare = word.strip("\"'(),;:.!?")
    special = LOOKS_LIKE_A_DIGEST.fullmatch(bare) or LIST_ITEM.fullmatch(word)
    return bool(PLAIN.fullmatch(word)) and not special


def parts_of(word: str) -> tuple[str, str, str]:
    """Split a word into what opens it, what is quoted, and the sentence's punctuation."""
    found = WORD.fullmatch(word)
    core, closing = (found["core"], found["end"]) if found else (word, "")
    if not core:
        return "", word, ""
    if core.startswith("(") and core.endswith(")") and len(core) > 2:
        return "(", unquoted(core[1:-1]), f"){closing}"
    return "", unquoted(core), closing


def unquoted(core: str) -> str:
    """Return the inside of what is a code span already."""
    span = SPAN.fullmatch(core)
    return span[1] if span else core


def code(text: str, longest: int = LONGEST) -> str:
    """Return one line as a code span; its fence is longer than any backticks inside."""
    line = one_line(text, longest)
    if not line:
        return "(empty)"
    fence = "`" * (longest_run(line) + 1)
    edge = " " if "`" in (line[0], line[-1]) else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def fenced(text: str, language: str = "") -> str:
    """Return a block of code; its fence is longer than any backticks inside."""
    shown = spelled(text, keep="\n\t").rstrip("\n")
    fence = "`" * max(3, longest_run(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def longest_run(text: str) -> int:
    """Return the length of the longest run of backticks."""
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def commit_message(text: str) -> str:
    """Return a message in which nobody is told, nothing is closed and nobody signs.

    The subject is cut to 72 characters. There are no trailers: a line that git or a forge would
    read as one, now or after a squash, loses its colon. Doing it again changes nothing.
    """
    text = TRAILER.sub(r"\g<token> -", without_forge_words(spelled(text, keep="\n").strip()))
    subject, _, body = PICKED.sub("(picked from", text).partition("\n")
    subject, body = one_line(subject, SUBJECT), body.strip()
    return f"{subject}\n\n{body}\n" if body else f"{subject}\n"


def without_forge_words(text: str) -> str:
    """Return text without what a forge acts on."""
    for pattern, plain in FORGE_WORDS:
        text = pattern.sub(plain, text)
    return text


def wrapped(text: str) -> str:
    """Return one line's text in lines of 72 characters."""
    return textwrap.fill(
        one_line(text, 2_000), SUBJECT, break_long_words=False, break_on_hyphens=False
    )
