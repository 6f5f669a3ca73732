"""What is asked of a model, and what comes back.

Belongs here: the nouns, and after which results a question may be asked again. Does not belong:
sending (`adapters.claude`), and the record of it (`model.asks`).
"""

from typing import Any, Protocol

import msgspec

from selfdrive_dagster.model import Result, Usage

AGAIN = frozenset(
    (
        Result.RATE_LIMITED,
        Result.OVERLOADED,
        Result.SERVER_FAULT,
        Result.TIMED_OUT,
        Result.UNREACHABLE,
    )
)
"""Results after which the same question may be asked once more, with money of its own."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question: `system` and `shown` are texts, the stable ones first.

    `caches` says whether the prompt cache is used; `schema` is the JSON schema of the answer.
    """

    model: str
    system: tuple[str, ...]
    shown: tuple[str, ...]
    schema: dict[str, Any]
    max_tokens: int
    caches: bool

    def size(self) -> int:
        """Return the bytes of all that is sent in words."""
        texts = (*self.system, *self.shown)
        return sum(len(text.encode()) for text in texts) + len(msgspec.json.encode(self.schema))


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `model` is as the service returned it, "" if it returned none.

    `is_free` only where it is certain that nothing is billed: nothing was sent, or the service
    turned the request down. Without it and without `usage`, nobody knows.
    """

    result: Result
    text: str = ""
    model: str = ""
    request_id: str = ""
    usage: Usage | None = None
    says: str = ""
    is_free: bool = False
    retry_after: float | None = None


class Model(Protocol):
    """Whoever answers questions. Never raises for what a service does."""

    def ask(self, question: Question) -> Answer:
        """Ask once; returns within a total deadline."""
        ...
