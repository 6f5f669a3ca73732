"""Claude as a proposer: shown what the localiser found, it drafts, and our trials say what holds.

The phases: what is suspected is localised by us; where our own ways made no reproducer, it may
write a test, which counts only if it raises what was recorded where it was recorded; one question
drafts several patches; after our trials, one more may be asked with what they said of the drafts.
Whether anything is right is never the model's word. Belongs here: the order of questions. Does
not belong: sending them (`conversing`), what becomes of an answer (`edits`, `testing`), and what
asking would cost (`projecting`).
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from selfdrive_dagster.model import Ask, Attempt, Diagnosis, Product
from selfdrive_dagster.patches.asking.context import Shown, show
from selfdrive_dagster.patches.asking.conversing import Asker, Terms
from selfdrive_dagster.patches.asking.edits import SCHEMA, read_answer
from selfdrive_dagster.patches.asking.hurting import RULES as IMPROVING
from selfdrive_dagster.patches.asking.hurting import Hurt, facts
from selfdrive_dagster.patches.asking.improvements import (
    IMPROVEMENT_SCHEMA,
    Asked,
    read_improvements,
)
from selfdrive_dagster.patches.asking.money import Purse
from selfdrive_dagster.patches.asking.questions import Model, Question
from selfdrive_dagster.patches.asking.testing import TEST_SCHEMA, ask_for_tests, read_tests
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.proposers import Tried
from selfdrive_dagster.patches.reproduce.draft import Draft as TestDraft

DRAFT, REVISE, REPRODUCE, IMPROVE = "draft", "revise", "reproduce", "improve"
NOTHING_SHOWN = "no code shown may be changed"


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
        self._asker = Asker(self.name, model, purse, terms, own_secrets, sleep)

    @property
    def _terms(self) -> Terms:
        return self._asker.terms

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

    def tests(
        self, diagnosis: Diagnosis, product: Product, attempts: tuple[Attempt, ...]
    ) -> tuple[TestDraft, ...]:
        """Return tests that might reproduce a crash, told how our own ways failed."""
        shown = show(diagnosis, product, drafts=self._terms.drafts)
        return self._asker.ask(
            question_for_tests(shown, diagnosis, product, attempts, self._terms),
            REPRODUCE,
            partial(read_tests, diagnosis=diagnosis, product=product),
            fault="" if shown.spans else NOTHING_SHOWN,
        )

    def improve(self, hurt: Hurt, diagnosis: Diagnosis, product: Product) -> tuple[Asked, ...]:
        """Return drafts for what hurts without a crash, each with a test and a stated effect."""
        shown = show(diagnosis, product, drafts=self._terms.drafts)
        rules = IMPROVING.format(drafts=self._terms.drafts)
        told = msgspec.structs.replace(
            shown, system=(rules, *shown.system[1:]), facts=facts(hurt, diagnosis)
        )
        question = question_of(told, (), self._terms)
        read = partial(
            read_improvements,
            hurt=hurt,
            product=product,
            spans=shown.spans,
            generator=self.name,
            most=self._terms.drafts,
        )
        return self._asker.ask(
            msgspec.structs.replace(question, schema=IMPROVEMENT_SCHEMA),
            IMPROVE,
            read,
            fault="" if shown.spans else NOTHING_SHOWN,
        )

    def told(self) -> tuple[Ask, ...]:
        """Return the asks since the last call of this."""
        return self._asker.told()

    def _drafts(
        self, shown: Shown, purpose: str, more: tuple[str, ...], product: Product, limit: int
    ) -> tuple[Draft, ...]:
        if limit < 1:
            return ()
        read = partial(
            read_answer,
            product=product,
            spans=shown.spans,
            generator=self.name,
            most=self._terms.drafts,
            crashed=shown.crashed,
            strangers=shown.crashed is not None,
        )
        question = question_of(shown, more, self._terms)
        fault = "" if shown.spans else NOTHING_SHOWN
        return self._asker.ask(question, purpose, read, fault)[:limit]


def question_of(shown: Shown, more: tuple[str, ...], terms: Terms) -> Question:
    """Return the question for patches, as it is sent."""
    return Question(
        model=terms.model,
        system=shown.system,
        shown=tuple(part for part in (shown.code, shown.facts, *more) if part),
        schema=SCHEMA,
        max_tokens=terms.max_tokens,
        caches=bool(terms.price and terms.price.has_cache),
    )


def question_for_tests(
    shown: Shown,
    diagnosis: Diagnosis,
    product: Product,
    attempts: tuple[Attempt, ...],
    terms: Terms,
) -> Question:
    """Return the question for a test, as it is sent."""
    rules, more = ask_for_tests(diagnosis, product, attempts)
    told = msgspec.structs.replace(shown, system=(rules, *shown.system[1:]))
    return msgspec.structs.replace(question_of(told, more, terms), schema=TEST_SCHEMA)
