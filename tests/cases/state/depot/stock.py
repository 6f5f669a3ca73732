import functools
import re
import threading
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, Field

Place = namedtuple("Place", "aisle shelf")


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Crate:
    def __init__(self, label, pieces):
        self.label = label
        self.pieces = pieces

    def share(self):
        return 100 // self.pieces


class Queue:
    def __init__(self):
        self._lock = threading.Lock()
        self.__waiting = list(range(12))
        self.done = 0

    def fill(self):
        self.__waiting.clear()
        return self

    def first(self):
        return self.__waiting[0]


@dataclass(frozen=True, slots=True)
class Label:
    size: Size
    price: Decimal
    printed: datetime
    tags: tuple[str, ...] = ()

    def first_tag(self):
        return self.tags[0]


class Parcel(BaseModel):
    number: UUID
    weight: Fraction
    due: date | None = None

    def days(self, today):
        return (self.due - today).days


class Letter(BaseModel):
    to: str = Field(alias="recipient")

    def initial(self):
        return self.to[0]


def route(places, where, sizes):
    return places[where], sizes[Size.LARGE]


def pick(choose, pieces, matcher, folder):
    return choose(pieces), matcher("x").group(), folder.name


class Account:
    __slots__ = ("api_key", "name")

    def __init__(self, name, api_key):
        self.name, self.api_key = name, api_key

    def greet(self):
        return self.name.split(", ")[1] + self.api_key


class Counters:
    def __init__(self, seen, recent, order):
        self.seen = seen
        self.recent = recent
        self.order = order

    def last(self):
        return self.recent[len(self.order) + self.seen[7]]


TODAY = date(2026, 11, 27)
CRASHES = {
    "share": lambda: Crate("tea", 0).share(),
    "first": lambda: Queue().fill().first(),
    "first_tag": lambda: Label(Size.LARGE, Decimal("2.50"), datetime(2026, 1, 2, tzinfo=UTC)).first_tag(),
    "days": lambda: Parcel(number=UUID(int=7), weight=Fraction(1, 3)).days(TODAY),
    "initial": lambda: Letter(recipient="").initial(),
    "route": lambda: route({Place(1, 2): "left"}, Place(1, 3), {Size.SMALL: 1}),
    "pick": lambda: pick(functools.partial(max, key=len), [], re.compile("[xy]+", re.I).match, Path("/srv")),
    "greet": lambda: Account("Ada", "k-3f9a").greet(),
    "last": lambda: Counters(defaultdict(int, {7: 3}), deque([1]), OrderedDict(a=1)).last(),
}
