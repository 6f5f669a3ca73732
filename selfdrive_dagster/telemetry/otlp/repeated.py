"""Attributes that were seen before: read and redacted once, then known by their bytes.

Telemetry says the same few hundred attributes over and over. What one attribute becomes depends
on its own bytes and the redactor, but for three cases: values that stand for a person named
beside them, names that make a label together, and older names that are joined. Spans with such
go the long way (`values.rest_json`), so both ways give the same row; a property test holds that.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.aliases import ALIASES, current_names
from selfdrive_dagster.telemetry.arrivals import url_path
from selfdrive_dagster.telemetry.bounds import label, text, whole
from selfdrive_dagster.telemetry.otlp.jsonvalues import pair_of_json, raws_of_json
from selfdrive_dagster.telemetry.otlp.values import COLUMNS, plain
from selfdrive_dagster.telemetry.persons import (
    bare_identity,
    names_person,
    speaks_of_person,
)
from selfdrive_dagster.telemetry.redact import Redactor
from selfdrive_dagster.telemetry.redact.names import Secrecy, secrecy_of

MAX_KEPT = 8_192
MAX_KEPT_BYTES = 512
MAX_SETS = 4_096
MAX_SET_BYTES = 2_048
"""What is remembered: so many attributes, and sets of them, of at most so many bytes. When there
are more, all are forgotten: what repeats is soon known again."""

_LABELS = frozenset({"name", "key", "field", "header", "loc", "value", "values", "input"})
"""Names that say something of each other (`redact.tree`)."""
_JOINED = frozenset({"code.namespace", "code.function"})
"""Older names that become one of today's together."""
_SPLIT = "http.target"


class Attribute(NamedTuple):
    """One attribute as it was sent, ready for a row.

    `name` is today's name. `fragment` is `"name":value` redacted, "" if nothing of it may stay.
    `column` is what a column of that name holds, None if there is none. `identity` is an id of a
    person or session. `stands_for` are the texts by which its value could equal one. `is_alone`
    False: go the long way.
    """

    sent: str
    name: str
    value: Any
    fragment: str
    column: Any
    identity: str
    stands_for: tuple[str, ...]
    is_alone: bool


Cells = tuple[Any, ...]
"""An Attribute as a plain tuple. The garbage collector goes through every NamedTuple that is
remembered, again and again; a plain tuple of texts it lets be."""


class Together(msgspec.Struct, frozen=True, gc=False):
    """The attributes of one span: as sent, its columns by COLUMN_READERS, and canonical JSON.

    `json` None: the long way must be gone, each time.
    """

    found: tuple[Cells, ...]
    columns: tuple[Any, ...]
    json: str | None


class Shape(NamedTuple):
    """What the names of a span's attributes decide alone: which of its cells are picked.

    `kept` picks those that stay, by name; `columns` one for each of COLUMN_READERS, the last cell
    where none fills it; `persons` those that name one.
    """

    kept: "Pick"
    columns: "Pick"
    persons: "Pick"


Pick = Callable[[Sequence[Any]], tuple[Any, ...]]


class Memory:
    """The attributes of one redactor, by their bytes; any thread may use it at any time.

    A span's attributes come as `raws_of` takes them: bytes for each, or for all together.
    """

    def __init__(
        self,
        redactor: Redactor,
        pair_of: Callable[[bytes], tuple[str, Any]],
        raws_of: Callable[[Any], Sequence[bytes]] = tuple,
    ) -> None:
        self._redactor = redactor
        self._pair_of = pair_of
        self._raws_of = raws_of
        self._known: dict[bytes, Cells] = {}
        self._sets: dict[Any, Together] = {}
        self._marks: set[int] = set()
        self._names: dict[str, Name] = {}
        self._shapes: dict[tuple[str, ...], Shape] = {}

    def read(self, sent: Any) -> Together:
        """Return what a span's attributes become; most hold a set that another one held."""
        return self._sets.get(sent) or self._read(sent)

    def _read(self, sent: Any) -> Together:
        raws = self._raws_of(sent)
        found: tuple[Any, ...] = tuple(map(self._known.get, raws))
        if None in found:  # hardly ever will just these come again
            return self._put_together(tuple(map(self._known_or_learned, raws)))
        together = self._put_together(found) if found else NOTHING
        if self._comes_again(sent) and sum(map(len, raws)) <= MAX_SET_BYTES:
            if len(self._sets) >= MAX_SETS:
                self._sets = {}
            self._sets[sent] = together
        return together

    def _comes_again(self, sent: Any) -> bool:
        """Say whether such a set came a short time ago: most that differ never come again."""
        mark = hash(sent)
        if mark in self._marks:
            return True
        if len(self._marks) >= MAX_SETS:
            self._marks = set()
        self._marks.add(mark)
        return False

    def _put_together(self, found: tuple[Cells, ...]) -> Together:
        names, _, _, fragments, columns, identities, stand_for, alone = zip(*found, strict=True)
        shape = self._shapes.get(names) or self._learn_shape(names, found)
        json = None
        if False not in alone and not is_said_again(shape.persons(identities), stand_for):
            json = f"{{{','.join(shape.kept(fragments))}}}"
        return Together(found, shape.columns((*columns, None)), json)

    def _known_or_learned(self, raw: bytes) -> Cells:
        return self._known.get(raw) or self._learn(raw)

    def _learn_shape(self, names: tuple[str, ...], found: Sequence[Cells]) -> Shape:
        shape = shape_of([Attribute(*cells) for cells in found])
        if sum(map(len, names)) <= MAX_SET_BYTES:
            if len(self._shapes) >= MAX_SETS:
                self._shapes = {}
            self._shapes[names] = shape
        return shape

    def _learn(self, raw: bytes) -> Cells:
        sent, value = self._pair_of(raw)
        name = self._names.get(sent)
        if name is None:
            name = name_of(sent, self._redactor)
            if len(self._names) < MAX_KEPT and len(sent) <= MAX_KEPT_BYTES:
                self._names[sent] = name
        one = tuple(make_attribute(name, value, self._redactor))
        if len(raw) <= MAX_KEPT_BYTES:
            if len(self._known) >= MAX_KEPT:
                self._known = {}
            self._known[raw] = one
        return one


class Name(NamedTuple):
    """What the name of an attribute decides; `head` is its redacted name in JSON, with colon.

    `is_odd`: its value must be looked at together with others (`Attribute.is_alone`). `is_plain`:
    it promises no secret.
    """

    sent: str
    now: str
    head: str
    keeps: bool
    is_person: bool
    speaks_of_person: bool
    is_odd: bool
    is_plain: bool


def name_of(sent: str, redactor: Redactor) -> Name:
    """Return what an attribute's name decides."""
    now = "url.path" if sent == _SPLIT else ALIASES.get(sent, sent)
    shown = redactor.text(now)
    sorts_as_text = bool(now) and now.isascii() and min(now) > '"' and "\\" not in now
    return Name(
        sent=sent,
        now=now,
        head=canonical(shown).decode() + ":",
        keeps=now not in COLUMNS and redactor.keeps(now),
        is_person=names_person(now),
        speaks_of_person=speaks_of_person(now),
        is_plain=secrecy_of(now) is Secrecy.PLAIN,
        is_odd=sent in _JOINED or now.lower() in _LABELS or shown != now or not sorts_as_text,
    )


def make_attribute(name: Name, value: Any, redactor: Redactor) -> Attribute:
    """Return what one attribute becomes in a row."""
    is_cut = name.sent == _SPLIT and isinstance(value, str) and "?" not in value
    reader = COLUMN_READERS.get(name.now)
    keeps = name.keeps and not name.is_person
    clean = _clean(name, value, redactor) if keeps else None
    return Attribute(
        sent=name.sent,
        name=name.now,
        value=value,
        fragment=name.head + canonical(clean).decode() if keeps else "",
        column=reader(value, redactor) if reader else None,
        identity=text(value) if name.is_person else "",
        stands_for=bare_identity(text(clean)),
        is_alone=not name.is_odd
        and not isinstance(value, dict | list)
        and (name.sent != _SPLIT or is_cut)
        and not (keeps and name.speaks_of_person),
    )


def _clean(name: Name, value: Any, redactor: Redactor) -> Any:
    is_text = isinstance(value, str) and name.is_plain
    return redactor.text(value) if is_text else redactor.value(value, name.now)


def shape_of(found: Sequence[Attribute]) -> Shape:
    """Return what these attributes' names decide."""
    places = places_by_name(found)
    kept = sorted((found[place].fragment, place) for place in places.values())
    nowhere = len(found)
    return Shape(
        kept=picking([place for fragment, place in kept if fragment]),
        columns=picking([places.get(name, nowhere) for name in COLUMN_READERS]),
        persons=picking([at for at, one in enumerate(found) if names_person(one.name)]),
    )


def picking(places: Sequence[int]) -> Pick:
    """Return what picks the cells at these places."""
    if len(places) < 2:
        return lambda cells: tuple([cells[place] for place in places])
    return itemgetter(*places)


def places_by_name(found: Sequence[Attribute]) -> dict[str, int]:
    """Return places by today's names; what was sent under it wins over an older name."""
    places: dict[str, int] = {}
    for place, one in enumerate(found):
        other = found[places[one.name]] if one.name in places else None
        if one.sent == one.name or other is None or other.sent != other.name:
            places[one.name] = place
    return places


def said_by(found: Sequence[Cells]) -> dict[str, Any]:
    """Return the values under today's names, as `values.read_attributes` does."""
    return current_names({sent: value for sent, _name, value, *_ in found})


def is_said_again(identities: Sequence[str], stand_for: Iterable[tuple[str, ...]]) -> bool:
    """Say whether a person that an attribute names is the value of another one."""
    persons = set(identities)
    persons.discard("")
    return bool(persons) and not persons.isdisjoint(chain.from_iterable(stand_for))


def _short(value: Any, redactor: Redactor) -> str | None:
    return redactor.text(label(value)) or None


def _path(value: Any, redactor: Redactor) -> str | None:
    return redactor.text(text(value).partition("?")[0]) or None


def _user(value: Any, redactor: Redactor) -> str | None:
    return redactor.pseudonym("user", text(value)) or None


COLUMN_READERS: dict[str, Callable[[Any, Redactor], Any]] = {
    "enduser.pseudo.id": _user,
    "enduser.id": _user,
    "session.id": lambda value, redactor: redactor.pseudonym("session", text(value)) or None,
    "error.type": _short,
    "http.request.method": _short,
    "http.response.status_code": lambda value, _redactor: whole(value),
    "http.route": _short,
    "url.path": _path,
    "url.full": lambda value, redactor: _path(url_path(text(value)), redactor),
}
"""Attribute with a column in `SpanRow` → what it holds; read before the allow-list is asked."""

NOTHING = Together((), (None,) * len(COLUMN_READERS), "{}")


@cache
def _pair_message() -> Any:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

    return KeyValue


def _pair_of_protobuf(raw: bytes) -> tuple[str, Any]:
    pair = _pair_message().FromString(raw)
    return pair.key, plain(pair.value)


_WIRES: dict[str, tuple[Callable[[bytes], tuple[str, Any]], Callable[[Any], Sequence[bytes]]]] = {
    "protobuf": (_pair_of_protobuf, tuple),
    "json": (pair_of_json, raws_of_json),
}
"""Wire format → how one attribute is read, and what a span's attributes are taken apart by."""


@lru_cache(maxsize=16)
def memory_of(redactor: Redactor, wire: str) -> Memory:
    """Return what is remembered for a redactor of attributes that came as protobuf or JSON."""
    return Memory(redactor, *_WIRES[wire])
