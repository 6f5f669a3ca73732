"""Claude as a proposer: shown what the localiser found, it drafts, and our trials say what holds.

The phases: what is suspected is localised by us; one question drafts several patches; after our
trials, one more may be asked with what they said of the drafts. Whether a patch is right is never
the model's word. Nothing here raises for what a service does: every end has a name, is kept as an
`Ask`, and its money is settled. Belongs here: the order of steps. Does not: wire and books.
"""

import time
from collections.abc import Callable, Iterator

import msgspec

from selfdrive_dagster.config.prices import Price
from selfdrive_dagster.model import Diagnosis, Product, digest
from selfdrive_dagster.patches.asking.clean import leak
from selfdrive_dagster.patches.asking.context import Shown, show
from selfdrive_dagster.patches.asking.edits import SCHEMA, Made, read_answer
from selfdrive_dagster.patches.asking.money import Denied, Purse, cost, most
from selfdrive_dagster.patches.asking.questions import (
    AGAIN,
    Answer,
    Ask,
    Model,
    Question,
    Result,
    Usage,
)
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.proposers import Tried

DRAFTS = 4
MOST_PROMPT_BYTES = 90_000
"""Below any length from which a model's tokens cost more."""
TIMES = 3
"""How often one question is sent at most."""
WAITS = (2.0, 8.0)
LONGEST_WAIT = 60.0
"""Seconds. Who is told to wait longer asks no more: a run does not sleep for an hour."""
DRAFT, REVISE = "draft", "revise"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms a model is asked. `price` None: nobody knows it, so nothing is sent."""

    model: str
    price: Price | None
    max_tokens: int = 16_000
    drafts: int = DRAFTS


class Claude:
    """Drafts of a model, for one change. `told` gives away what was asked since the last time."""

    name = "claude"

    def __init__(
        self,
        model: Model,
        purse: Purse,
        terms: Terms,
        *,
        own_secrets: frozenset[str] = frozenset(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model, self._purse, self._terms = model, purse, terms
        self._own_secrets, self._sleep = own_secrets, sleep
        self._asks: list[Ask] = []

    def propose(self, diagnosis: Diagnosis, product: Product, *, limit: int) -> Iterator[Draft]:
        """Yield the drafts of one answer that can be applied."""
        shown = show(diagnosis, product, drafts=self._terms.drafts)
        yield from self._drafts(shown, DRAFT, (), product, limit)

    def revise(
        self, diagnosis: Diagnosis, product: Product, tried: tuple[Tried, ...], *, limit: int
    ) -> Iterator[Draft]:
        """Yield further drafts, once our trials spoke against the first; nothing without any."""
        failed = [one for one in tried if one.draft.generator == self.name]
        if not failed:
            return
        shown = show(diagnosis, product, drafts=self._terms.drafts)
        earlier = "\n\n".join(
            f"This draft did not hold ({one.outcome}):\n```diff\n{one.draft.patch}```"
            for one in failed[: self._terms.drafts]
        )
        drafts = self._drafts(shown, REVISE, (earlier,), product, limit)
        known = {one.draft.patch for one in failed}
        yield from (draft for draft in drafts if draft.patch not in known)

    def told(self) -> tuple[Ask, ...]:
        """Return the asks since the last call of this."""
        asks, self._asks = tuple(self._asks), []
        return asks

    def _drafts(
        self, shown: Shown, purpose: str, more: tuple[str, ...], product: Product, limit: int
    ) -> Iterator[Draft]:
        if limit < 1:
            return
        question = _question(shown, more, self._terms)
        fault = self._unfit(question, shown)
        if fault is not None:
            self._asks.append(self._ask_of(question, purpose, fault))
            return
        made = self._asked(question, purpose, product, shown)
        yield from made.drafts[:limit]

    def _unfit(self, question: Question, shown: Shown) -> Answer | None:
        """Return why a question is not sent, None when it may be."""
        if not shown.spans:
            return Answer(result=Result.NOTHING_TO_SHOW, says="no code shown may be changed")
        if self._terms.price is None:
            says = f"the price of {question.model} is unknown: set [patches.prices]"
            return Answer(result=Result.NO_PRICE, says=says)
        if question.size() > MOST_PROMPT_BYTES:
            says = f"the prompt has {question.size()} bytes, {MOST_PROMPT_BYTES} may be sent"
            return Answer(result=Result.TOO_LARGE, says=says)
        if found := leak((*question.system, *question.shown), self._own_secrets):
            return Answer(result=Result.SECRET_IN_PROMPT, says=found)
        return None

    def _asked(self, question: Question, purpose: str, product: Product, shown: Shown) -> Made:
        """Ask until there is an answer or a reason to stop, each time with money of its own."""
        for attempt in range(TIMES):
            ask, made, answer = self._once(question, purpose, product, shown)
            self._asks.append(ask)
            wait = _wait(answer, attempt)
            if ask.result not in AGAIN or wait is None or attempt == TIMES - 1:
                break
            self._sleep(wait)
        return made

    def _once(
        self, question: Question, purpose: str, product: Product, shown: Shown
    ) -> tuple[Ask, Made, Answer]:
        price = self._terms.price
        assert price is not None  # `_unfit` asked before
        reserved_micros = most(question.size(), question.max_tokens, price)
        reserved = self._purse.reserve(reserved_micros, question.model)
        if isinstance(reserved, Denied):
            answer = Answer(result=Result.NO_BUDGET, says=reserved.says, is_free=True)
            return self._ask_of(question, purpose, answer), Made(answer.result, ""), answer
        start = time.monotonic()
        answer = self._model.ask(question)
        made = Made(answer.result, answer.says)
        if answer.result is Result.ANSWERED:
            made = read_answer(
                answer.text,
                product,
                shown.spans,
                generator=self.name,
                most=self._terms.drafts,
                strangers=shown.strangers,
            )
        ask = msgspec.structs.replace(
            self._ask_of(question, purpose, answer),
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

    def _ask_of(self, question: Question, purpose: str, answer: Answer) -> Ask:
        return Ask(
            generator=self.name,
            purpose=purpose,
            model=question.model,
            result=answer.result,
            says=answer.says,
            returned_model=answer.model,
            request_id=answer.request_id,
            prompt_sha256=digest(question),
            usage=answer.usage,
        )


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """What asking once would cost: about, and at most. Micro-dollars."""

    likely_micros: int
    most_micros: int


LIKELY_BYTES_OF_A_TOKEN = 4
LIKELY_ANSWER_TOKENS = 3_000
"""Guesses, thinking included: a projection is told as one."""


def project(diagnosis: Diagnosis, product: Product, terms: Terms) -> Projection | None:
    """Return what one question on a diagnosis would cost; nothing is sent.

    None where nobody knows, or where nothing would be asked.
    """
    shown = show(diagnosis, product, drafts=terms.drafts)
    if terms.price is None or not shown.spans:
        return None
    size = _question(shown, (), terms).size()
    read = Usage(
        input_tokens=size // LIKELY_BYTES_OF_A_TOKEN,
        output_tokens=min(LIKELY_ANSWER_TOKENS, terms.max_tokens),
    )
    likely = cost(read, terms.price)
    assert likely is not None  # no cached tokens
    return Projection(likely_micros=likely, most_micros=most(size, terms.max_tokens, terms.price))


def _question(shown: Shown, more: tuple[str, ...], terms: Terms) -> Question:
    return Question(
        model=terms.model,
        system=shown.system,
        shown=tuple(part for part in (shown.code, shown.facts, *more) if part),
        schema=SCHEMA,
        max_tokens=terms.max_tokens,
        caches=bool(terms.price and terms.price.has_cache),
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
