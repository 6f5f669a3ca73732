"""What commands print: answers on stdout, as JSON or for people; progress on stderr.

Text that came from telemetry or a product passes `clean` before it meets a terminal.
"""

import json
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.model import Progress

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Repo = Annotated[
    Path, typer.Argument(help="The folder that holds the product's code.", show_default=True)
]

ABSENT = "NOT RECORDED"
PLAIN_SECONDS = 10.0
"""In a log, a sentence that differs only in its numbers is repeated this often."""


def emit(record: Any, human: Callable[[Console], None], *, as_json: bool) -> None:
    """Print a record as JSON, or let `human` draw it."""
    if as_json:
        print(as_plain_json(record))
    else:
        human(Console())


def as_plain_json(record: Any) -> str:
    """Return a record as JSON in which every tricky character is a \\u escape."""
    shown = msgspec.json.format(msgspec.json.encode(record), indent=2).decode()
    return "".join(
        json_escape(character) if character != "\n" and is_tricky(character) else character
        for character in shown
    )


def json_escape(character: str) -> str:
    """Return a character as JSON escapes it: a pair of surrogates beyond 16 bits."""
    return json.dumps(character)[1:-1].replace("\x7f", "\\u007f")


def clean(text: str) -> str:
    """Return text without terminal control, bidi and invisible characters: each is spelled out."""
    return "".join(
        character if character == "\n" or not is_tricky(character) else spelled(character)
        for character in text
    )


def is_tricky(character: str) -> bool:
    """Say whether a character could move a cursor, turn text round or hide."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def spelled(character: str) -> str:
    """Return a character's Python escape, like `\\x1b`."""
    return ascii(character)[1:-1]


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Give a place for sentences of progress: a moving line, or plain lines in a log."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield plain_progress()
        return
    with console.status(Text(clean(title))) as status:
        yield lambda sentence: status.update(Text(clean(sentence).replace("\n", " ")))


def plain_progress(clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return progress for a log: says a new sentence at once, a mere new number seldom."""
    last: dict[str, float] = {}

    def say(sentence: str) -> None:
        shape = re.sub(r"\d+", "0", sentence)
        if clock() - last.get(shape, float("-inf")) >= PLAIN_SECONDS:
            last[shape] = clock()
            print(clean(sentence), file=sys.stderr, flush=True)

    return say


def words(name: str) -> str:
    """Return a state's name in words."""
    return name.replace("_", " ")


def flat(text: Any) -> str:
    """Return a stranger's text as one clean line."""
    return clean(str(text)).replace("\n", " ")
