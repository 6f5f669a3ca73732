"""Asking a model: money first, then the question, then what its answer is, all of it recorded.

Nothing here raises for what a service does: every end has a name, is kept as an `Ask`, and its
money is settled. Belongs here: one question until it has an end. Does not belong: what is asked
and what the answer means, which whoever asks brings along.
"""

import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from selfdrive_dagster.config.prices import Price
from selfdrive_dagster.model import Ask, Result, digest
from selfdrive_dagster.patches.asking.clean import leak
from selfdrive_dagster.patches.asking.money import Denied, Purse, cost, most
from selfdrive_dagster.patches.asking.questions import AGAIN, Answer, Model, Question

MOST_PROMPT_BYTES = 90_000
"""Below any length from which a model's tokens cost more."""
TIMES = 3
"""How often one question is sent at most."""
WAITS = (2.0, 8.0)
LONGEST_WAIT = 60.0
"""Seconds. Who is told to wait longer asks no more: a run does not sleep for an hour."""

T = TypeVar("T")


class Made(NamedTuple, Generic[T]):
    """What an answer's text came to. `fates` says for each part of it why it fits or not."""

    result: Result
    says: str
    drafts: tuple[T, ...] = ()
    fates: tuple[str, ...] = ()
    explanations: tuple[str, ...] = ()


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms a model is asked. `price` None: nobody knows it, so nothing is sent."""

    model: str
    price: Price | None
    max_tokens: int = 16_000
    drafts: int = 4


class Asker:
    """Asks for one generator and keeps a record of each question."""

    def __init__(
        self,
        name: str,
        model: Model,
        purse: Purse,
        terms: Terms,
        own_secrets: frozenset[str],
        sleep: Callable[[float], None],
    ) -> None:
        self._name, self._model, self._purse, self.terms = name, model, purse, terms
        self._own_secrets, self._sleep = own_secrets, sleep
        self._asks: list[Ask] = []

    def told(self) -> tuple[Ask, ...]:
        """Return the asks since the last call of this."""
        asks, self._asks = tuple(self._asks), []
        return asks

    def ask(
        self, question: Question, purpose: str, read: Callable[[str], Made[T]], fault: str = ""
    ) -> tuple[T, ...]:
        """Ask until there is an answer or a reason to stop, each time with money of its own.

        `read` makes something of the answer's text; `fault` says why there is nothing to ask.
        """
        unfit = self._unfit(question, fault)
        if unfit is not None:
            self._asks.append(self._record(question, purpose, unfit))
            return ()
        made: Made[T] = Made(Result.EMPTY, "")
        for attempt in range(TIMES):
            ask, made, answer = self._once(question, purpose, read)
            self._asks.append(ask)
            wait = _wait(answer, attempt)
            if ask.result not in AGAIN or wait is None or attempt == TIMES - 1:
                break
            self._sleep(wait)
        return made.drafts

    def _unfit(self, question: Question, fault: str) -> Answer | None:
        """Return why a question is not sent, None when it may be."""
        if fault:
            return Answer(result=Result.NOTHING_TO_SHOW, says=fault)
        if self.terms.price is None:
            says = f"the price of {question.model} is unknown: set [patches.prices]"
            return Answer(result=Result.NO_PRICE, says=says)
        if question.size() > MOST_PROMPT_BYTES:
            says = f"the prompt has {question.size()} bytes, {MOST_PROMPT_BYTES} may be sent"
            return Answer(result=Result.TOO_LARGE, says=says)
        if found := leak((*question.system, *question.shown), self._own_secrets):
            return Answer(result=Result.SECRET_IN_PROMPT, says=found)
        return None

    def _once(
        self, question: Question, purpose: str, read: Callable[[str], Made[T]]
    ) -> tuple[Ask, Made[T], Answer]:
        price = self.terms.price
        assert price is not None  # `_unfit` asked before
        reserved_micros = most(question.size(), question.max_tokens, price)
        reserved = self._purse.reserve(reserved_micros, question.model)
        if isinstance(reserved, Denied):
            answer = Answer(result=Result.NO_BUDGET, says=reserved.says, is_free=True)
            return self._record(question, purpose, answer), Made(answer.result, ""), answer
        start = time.monotonic()
        answer = self._model.ask(question)
        made: Made[T] = Made(answer.result, answer.says)
        if answer.result is Result.ANSWERED:
            made = read(answer.text)
        ask = msgspec.structs.replace(
            self._record(question, purpose, answer),
            result=made.result,
            says=made.says,
            reserved_micros=reserved_micros,
            spent_micros=_spent(answer, price, reserved_micros),
            seconds=round(time.monotonic() - start, 3),
            drafts=made.fates,
            explanations=made.explanations,
        )
        self._purse.settle(reserved, ask)
        return ask, made, answer

    def _record(self, question: Question, purpose: str, answer: Answer) -> Ask:
        return Ask(
            generator=self._name,
            purpose=purpose,
            model=question.model,
            result=answer.result,
            says=answer.says,
            returned_model=answer.model,
            request_id=answer.request_id,
            prompt_sha256=digest(question),
            usage=answer.usage,
        )


def _spent(answer: Answer, price: Price, reserved: int) -> int:
    """Return what an answer cost: by its usage, nothing if that is certain, else all of it."""
    if answer.usage is not None and answer.result is not Result.OTHER_MODEL:
        counted = cost(answer.usage, price)
        return reserved if counted is None else counted
    return 0 if answer.is_free else reserved


def _wait(answer: Answer, attempt: int) -> float | None:
    """Return the seconds to wait before asking again, None when that would be too long."""
    told = answer.retry_after
    wait = WAITS[min(attempt, len(WAITS) - 1)] if told is None else max(0.0, told)
    return wait if wait <= LONGEST_WAIT else None
