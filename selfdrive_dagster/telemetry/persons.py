"""Persons in attributes: what names one goes, and an identity said elsewhere becomes a pseudonym.

A pseudonym hides nobody while the name stands beside it in the same row. So attributes that name
a person have no place in `attributes_json`, and in free containers (tags, extra, breadcrumbs)
each value that equals an identity of the event is replaced by its pseudonym. Identities inside
longer texts, paths and variables do not belong here: a reproducer may need them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from selfdrive_dagster.telemetry.bounds import mapping, text
from selfdrive_dagster.telemetry.redact import Redactor

PERSONAL = frozenset(
    {
        "user",
        "user_id",
        "userid",
        "user_name",
        "username",
        "user_email",
        "session.id",
        "session.previous_id",
        "session_id",
        "client.address",
        "network.peer.address",
        "net.peer.ip",
    }
)
"""Attributes that name a person or a session, besides `user.*` and `enduser.*`."""

PREFIXES = ("user.", "enduser.")
SHORT = 4
"""An identity of fewer characters is replaced only under a name that speaks of a person."""

_SPEAKS_OF_A_PERSON = re.compile(
    r"(?i)user|uid|customer|account|member|client|owner|author|session|person|visitor|login"
)
_SENTRYS_PREFIX = re.compile(r"\A(?:id|username|email|ip):")


def names_person(name: str) -> bool:
    """Say whether an attribute names a person or a session."""
    lower = name.lower()
    return lower in PERSONAL or lower.startswith(PREFIXES)


def speaks_of_person(path: str) -> bool:
    """Say whether the last step of a dotted path, alone or with the one before, names a person."""
    *_, parent, last = ("", *f".{path}".split("."))
    return names_person(last) or names_person(f"{parent}.{last}")


def identities(said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Give (kind, id) of each attribute that names a person or a session."""
    for name, value in said.items():
        if names_person(name) and (identity := text(value)):
            yield _kind(name), identity


def _kind(name: str) -> str:
    return "session" if "session" in name.lower() else "user"


def bare_identity(said: str) -> tuple[str, ...]:
    """Return the texts by which a value may equal an identity: bare, and without a prefix."""
    bare = said.strip("'\"")
    if ":" not in bare:
        return (bare,) if bare else ()
    return bare, _SENTRYS_PREFIX.sub("", bare)


def without_persons(
    said: Mapping[str, Any], redactor: Redactor, known: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Return redacted attributes that name nobody; `known` are the event's own identities."""
    kept = {name: value for name, value in said.items() if not names_person(name)}
    masks = {identity: kind for kind, identity in (*identities(said), *known)}
    return mapping(_Mask(redactor, masks).value(redactor.value(kept), ""))


class _Mask:
    """A walk over a redacted tree, which is bounded already."""

    def __init__(self, redactor: Redactor, kinds: Mapping[str, str]) -> None:
        self.redactor = redactor
        self.kinds = kinds

    def value(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {name: self.value(inner, f"{path}.{name}") for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, path) for inner in value]
        return self.scalar(value, path)

    def scalar(self, value: Any, path: str) -> Any:
        said = text(value)
        bare = said.strip("'\"")
        identity = bare if bare in self.kinds else _SENTRYS_PREFIX.sub("", bare)
        if identity in self.kinds and self.may_stand_for(identity, path):
            return self.redactor.pseudonym(self.kinds[identity], identity)
        *_, parent, last = ("", *path.split("."))
        is_person = names_person(last) or names_person(f"{parent}.{last}")
        is_open = said and not said.startswith("[")
        return self.redactor.pseudonym(_kind(last), said) if is_person and is_open else value

    def may_stand_for(self, identity: str, path: str) -> bool:
        last = path.rpartition(".")[2]
        return len(identity) >= SHORT or bool(_SPEAKS_OF_A_PERSON.search(last))
