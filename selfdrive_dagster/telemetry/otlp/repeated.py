"""Attributes that were seen before: read and redacted once, then known by their bytes.

Telemetry says the same few hundred attributes over and over. What one attribute becomes depends
on its own bytes and the redactor, but for three cases: values that stand for a person named
beside them, names that make a label together, and older names that are joined. Spans with such
go the long way (`values.rest_json`), so both ways give the same row; a property test holds that.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.aliases import ALIASES, current_names
from selfdrive_dagster.telemetry.arrivals import url_path
from selfdrive_dagster.telemetry.bounds import label, text, whole
from selfdrive_dagster.telemetry.otlp.jsonvalues import pair_of_json
from selfdrive_dagster.telemetry.otlp.values import COLUMNS, MAX_ATTRIBUTES, plain
from selfdrive_dagster.telemetry.persons import (
    bare_identity,
    names_person,
    speaks_of_person,
)
from selfdrive_dagster.telemetry.redact import Redactor

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

    `name` is today's name, `is_old` that an older one was sent. `fragment` is `"name":value`
    redacted, "" if nothing of it may stay. `column` is what a column of that name holds, None if
    there is none. `identity` is an id of a person or session. `stands_for` are the texts by which
    its value could equal one. `is_alone` False: go the long way.
    """

    sent: str
    value: Any
    name: str
    is_old: bool
    fragment: str
    column: Any
    identity: str
    stands_for: tuple[str, ...]
    is_alone: bool


class Together(NamedTuple):
    """The attributes of one span: as sent, its columns, and canonical JSON without a long way.

    `json` None: the long way must be gone, each time.
    """

    found: tuple[Attribute, ...]
    columns: dict[str, Any]
    json: str | None


class Memory:
    """The attributes of one redactor, by their bytes; any thread may use it at any time."""

    def __init__(self, redactor: Redactor, pair_of: Callable[[bytes], tuple[str, Any]]) -> None:
        self._redactor = redactor
        self._pair_of = pair_of
        self._known: dict[bytes, Attribute] = {}
        self._sets: dict[tuple[bytes, ...], Together] = {}
        self._names: dict[str, Name] = {}

    def read(self, raws: Sequence[bytes]) -> Together:
        """Return up to MAX_ATTRIBUTES; most spans hold a set of them that another one held."""
        key = tuple(raws[:MAX_ATTRIBUTES])
        return self._sets.get(key) or self._read(key)

    def _read(self, key: tuple[bytes, ...]) -> Together:
        known = self._known.get
        together = put_together(tuple([known(raw) or self._learn(raw) for raw in key]))
        if sum(map(len, key)) <= MAX_SET_BYTES:
            if len(self._sets) >= MAX_SETS:
                self._sets = {}
            self._sets[key] = together
        return together

    def _learn(self, raw: bytes) -> Attribute:
        sent, value = self._pair_of(raw)
        name = self._names.get(sent)
        if name is None:
            name = name_of(sent, self._redactor)
            if len(self._names) < MAX_KEPT and len(sent) <= MAX_KEPT_BYTES:
                self._names[sent] = name
        one = make_attribute(name, value, self._redactor)
        if len(raw) <= MAX_KEPT_BYTES:
            if len(self._known) >= MAX_KEPT:
                self._known = {}
            self._known[raw] = one
        return one


class Name(NamedTuple):
    """What the name of an attribute decides; `head` is its redacted name in JSON, with colon.

    `is_odd`: its value must be looked at together with others (`Attribute.is_alone`).
    """

    sent: str
    now: str
    head: str
    keeps: bool
    is_person: bool
    speaks_of_person: bool
    is_odd: bool


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
        is_odd=sent in _JOINED or now.lower() in _LABELS or shown != now or not sorts_as_text,
    )


def make_attribute(name: Name, value: Any, redactor: Redactor) -> Attribute:
    """Return what one attribute becomes in a row."""
    is_cut = name.sent == _SPLIT and isinstance(value, str) and "?" not in value
    reader = COLUMN_READERS.get(name.now)
    keeps = name.keeps and not name.is_person
    clean = redactor.value(value, name.now) if keeps else None
    return Attribute(
        sent=name.sent,
        value=value,
        name=name.now,
        is_old=name.sent != name.now,
        fragment=name.head + canonical(clean).decode() if keeps else "",
        column=reader(value, redactor) if reader else None,
        identity=text(value) if name.is_person else "",
        stands_for=bare_identity(text(clean)),
        is_alone=not name.is_odd
        and not isinstance(value, dict | list)
        and (name.sent != _SPLIT or is_cut)
        and not (keeps and name.speaks_of_person),
    )


def put_together(found: tuple[Attribute, ...]) -> Together:
    """Return what attributes that stand together become."""
    named = by_name(found)
    columns = {name: one.column for name, one in named.items() if one.column is not None}
    return Together(found, columns, fragments_json(found, named))


def by_name(found: Sequence[Attribute]) -> dict[str, Attribute]:
    """Return attributes by today's names; what was sent under it wins over an older name."""
    named: dict[str, Attribute] = {}
    for one in found:
        if not one.is_old or one.name not in named or named[one.name].is_old:
            named[one.name] = one
    return named


def said_by(found: Sequence[Attribute]) -> dict[str, Any]:
    """Return the values under today's names, as `values.read_attributes` does."""
    return current_names({one.sent: one.value for one in found})


def fragments_json(found: Sequence[Attribute], named: Mapping[str, Attribute]) -> str | None:
    """Return the attributes as canonical JSON, None if they must be looked at together."""
    persons = set()
    for one in found:
        if not one.is_alone:
            return None
        if one.identity:
            persons.add(one.identity)
    if persons and any(not persons.isdisjoint(one.stands_for) for one in found):
        return None
    return f"{{{','.join(sorted([one.fragment for one in named.values() if one.fragment]))}}}"


def _short(value: Any, redactor: Redactor) -> str | None:
    return redactor.text(label(value)) or None


def _path(value: Any, redactor: Redactor) -> str | None:
    return redactor.text(text(value).partition("?")[0]) or None


def _user(value: Any, redactor: Redactor) -> str | None:
    return redactor.pseudonym("user", text(value)) or None


COLUMN_READERS: dict[str, Callable[[Any, Redactor], Any]] = {
    "error.type": _short,
    "http.request.method": _short,
    "http.route": _short,
    "http.response.status_code": lambda value, _redactor: whole(value),
    "url.path": _path,
    "url.full": lambda value, redactor: _path(url_path(text(value)), redactor),
    "enduser.pseudo.id": _user,
    "enduser.id": _user,
    "session.id": lambda value, redactor: redactor.pseudonym("session", text(value)) or None,
}
"""Attribute with a column in `SpanRow` → what it holds; read before the allow-list is asked."""


def _pair_of_protobuf(raw: bytes) -> tuple[str, Any]:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

    pair = KeyValue.FromString(raw)
    return pair.key, plain(pair.value)


_PAIR_OF = {"protobuf": _pair_of_protobuf, "json": pair_of_json}


@lru_cache(maxsize=16)
def memory_of(redactor: Redactor, wire: str) -> Memory:
    """Return what is remembered for a redactor of attributes that came as protobuf or JSON."""
    return Memory(redactor, _PAIR_OF[wire])
