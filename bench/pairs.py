"""The nine development pairs of repair.md §11: releases, what triggers the bug, what must become.

Belongs here: data on the pairs. Does not belong: running or judging them (`real_bugs.py`).
"""

import msgspec

REQUIREMENTS = (
    "pytest",
    "hypothesis",
    "pytest-mock",
    "freezegun",
    "semver",
    "pytest-cov",
    "sentry-sdk",
)


class Pair(msgspec.Struct, frozen=True):
    """One development pair. `trigger` is "" when the bug does not raise.

    `probe` is a program whose output must be the new release's; `show` prints an answer or what
    was raised. Probes were written from the true fixes and are shown to no tool.
    """

    package: str
    old: str
    new: str
    trigger: str = ""
    probe: str = ""

    @property
    def name(self) -> str:
        """Return `package old`."""
        return f"{self.package} {self.old}"


NATSORT_8_0_1 = """
from natsort import natsorted, ns
from natsort.utils import path_splitter
for text in (".", "./", "././.", "..", "a/b.txt", "../x.tar.gz", "/", "a.1.5", "b/./c"):
    show(lambda: list(path_splitter(text)))
show(lambda: natsorted(["b", ".", "a/10", "a/2", "/x"], alg=ns.PATH))
"""
HTML2TEXT = """
import html2text
MARKS = ({}, {"strong_mark": ""}, {"strong_mark": "", "emphasis_mark": ""},
         {"strong_mark": "", "ul_item_mark": ""}, {"ul_item_mark": "-"}, {"strong_mark": "__"})
def handled(marks, text):
    h = html2text.HTML2Text()
    for name, mark in marks.items():
        setattr(h, name, mark)
    return h.handle(text)
for marks in MARKS:
    for text in ("A <b>B</b> <i>C</i>.", "<b>a</b><b>b</b>", "x*<b>y</b>-<b>z</b>", "<li><b>q</b>"):
        show(lambda: handled(marks, text))
"""
ITSDANGEROUS = """
from itsdangerous import TimestampSigner
s = TimestampSigner("secret-key")
def told(value, **more):
    try:
        return s.unsign(value, **more)
    except Exception as error:
        return type(error).__name__, str(error), getattr(error, "payload", 0), bool(error.__cause__)
from itsdangerous.encoding import base64_encode, int_to_bytes
for number in (0, 1, 2**31, 2**40, 2**50, 2**62):
    value = b"value." + base64_encode(int_to_bytes(number))
    signed = value + b"." + super(TimestampSigner, s).sign(value).rpartition(b".")[2]
    show(lambda: told(signed))
    show(lambda: told(signed, return_timestamp=True))
    show(lambda: told(signed[:-1] + b"A"))
show(lambda: told(b"value"))
show(lambda: s.validate(b"value.TgPVoaGhoQ.AGBfQ6G6cr07byTRt0zAdPljHOY"))
"""
CACHETOOLS_7_0_2 = """
import inspect
from unittest.mock import create_autospec
from cachetools import LRUCache, cachedmethod
def shelf(**more):
    class Shelf:
        def __init__(self):
            self.cache = LRUCache(2)
        @cachedmethod(lambda self: self.cache, **more)
        def book(self, number):
            "Return a book."
            return number
    return Shelf
for more in ({}, {"info": True}):
    Shelf = shelf(**more)
    show(lambda: callable(Shelf.book))
    show(lambda: (Shelf.book.__name__, Shelf.book.__doc__))
    show(lambda: list(inspect.signature(Shelf.book).parameters))
    show(lambda: Shelf().book(3))
    show(lambda: create_autospec(Shelf)() is not None)
"""
CACHETOOLS_7_2_0 = """
import random
from cachetools import RRCache
def popped(choice, items):
    cache = RRCache(3, choice=choice)
    cache.update(items)
    return cache.popitem(), sorted(cache)
def refuse(keys):
    raise ValueError("not now")
for choice in (min, max, lambda keys: keys[0], random.choice, refuse):
    show(lambda: popped(choice, {}))
    show(lambda: popped(choice, {7: "a"}))
show(lambda: popped(min, {1: 1, 2: 2, 3: 3}))
"""
PARSE_1_4 = """
import parse
for text in ("0", "7", "00", "07", "10", "-0", "+0", "0b1", "0o7", "0x1F", "0B1", "0X1f", "0b", ""):
    show(lambda: parse.parse("a {:d} b", f"a {text} b"))
    show(lambda: parse.parse("{:d}", text))
"""
PARSE_1_11_1 = """
import parse
for form in ("{who.txt", "{", "a{", "{}", "{who} {", "{{}}", "{who} {b", "x {} {a"):
    for text in ("hello", "{who.txt", "{", "a{", "x {", "{}", "x y {a"):
        show(lambda: parse.parse(form, text))
"""
PARSE_1_21_0 = """
import parse
for digits in ("1", "12", "123", "000001", "000249", "123456", "999999", "501902", "5", "041000"):
    show(lambda: parse.parse("{:ti}", f"2011-02-01T10:20:30.{digits}"))
    show(lambda: parse.parse("{:ti}", f"2011-02-01T10:20:30.{digits}Z"))
"""
PARSE_1_22_2 = """
import parse
ASKED = (
    ("{:%H:%M%z}", "10:20+0530"), ("{:%H:%M}", "10:20"), ("{:%H:%M:%S%z}", "10:20:30-0430"),
    ("{:tt}", "10:21:36 PM"), ("{:%Y-%m-%d}", "2020-01-02"), ("{:%H:%M%z}", "10:20+00:00"),
    ("{:%Y %H %z}", "2020 10 +0100"), ("{:tt}", "10:21:36 PM +1000"),
)
for form, text in ASKED:
    show(lambda: parse.parse(form, text))
"""

PAIRS = (
    Pair(
        "natsort", "8.0.1", "8.0.2",
        'from natsort import natsorted, ns\nnatsorted(["b", "."], alg=ns.PATH)\n',
        probe=NATSORT_8_0_1,
    ),
    Pair(
        "html2text", "2024.2.25", "2024.2.26",
        "import html2text\nh = html2text.HTML2Text()\nh.emphasis_mark = '_'\n"
        "h.strong_mark = ''\nh.handle('A <b>B</b> <i>C</i>.')\n",
        probe=HTML2TEXT,
    ),
    Pair(
        "itsdangerous", "2.1.0", "2.1.1",
        "from itsdangerous import TimestampSigner\n"
        "TimestampSigner('secret-key').unsign(b'value.TgPVoaGhoQ.AGBfQ6G6cr07byTRt0zAdPljHOY')\n",
        probe=ITSDANGEROUS,
    ),
    Pair(
        "cachetools", "7.0.2", "7.0.3",
        "from cachetools import LRUCache, cachedmethod\nclass Shelf:\n"
        "    @cachedmethod(lambda self: LRUCache(2), info=True)\n"
        "    def book(self, number):\n        return number\nShelf.book\n",
        probe=CACHETOOLS_7_0_2,
    ),
    Pair(
        "cachetools", "7.2.0", "7.2.1",
        "from cachetools import RRCache\nRRCache(2, choice=min).popitem()\n",
        probe=CACHETOOLS_7_2_0,
    ),
    Pair(
        "parse", "1.4", "1.4.1", "import parse\nparse.parse('a {:d} b', 'a 0 b')\n",
        probe=PARSE_1_4,
    ),
    Pair("parse", "1.11.1", "1.12.0", probe=PARSE_1_11_1),
    Pair("parse", "1.21.0", "1.21.1", probe=PARSE_1_21_0),
    Pair("parse", "1.22.2", "1.22.3", probe=PARSE_1_22_2),
)  # fmt: skip
