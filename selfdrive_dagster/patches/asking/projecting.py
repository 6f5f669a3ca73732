"""Projecting: what asking about a crash would cost, from the prompts that would be sent.

Nothing is sent and nobody is asked. The prompt is made as for a question and counted in bytes;
its tokens and the length of an answer are guesses, so a projection is a range. Does not belong
here: what a question may cost at most (`money`).
"""

import msgspec

from selfdrive_dagster.model import Diagnosis, Product, Reproduction, Usage
from selfdrive_dagster.patches.asking.context import show
from selfdrive_dagster.patches.asking.conversing import MOST_PROMPT_BYTES, Terms
from selfdrive_dagster.patches.asking.money import cost, most
from selfdrive_dagster.patches.asking.proposer import question_for_tests, question_of

LIKELY_BYTES_OF_A_TOKEN = 4
LIKELY_ANSWER_TOKENS = 3_000
"""Guesses, thinking included: a projection is told as one."""


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """What asking would cost, in micro-dollars: about, and at most.

    `likely_micros` is the one question that is asked for certain; `most_micros` bounds all that
    may follow it as well, each at the longest prompt and answer. What the service makes us send
    twice is in neither: there the caps bound. `prompt_bytes` are those of the first question.
    """

    likely_micros: int
    most_micros: int
    prompt_bytes: int


def project(
    diagnosis: Diagnosis, reproduction: Reproduction, product: Product, terms: Terms
) -> Projection | None:
    """Return what asking about a diagnosis would cost, for a test first where there is none yet.

    None where nobody knows, or where nothing would be asked.
    """
    shown = show(diagnosis, product, drafts=terms.drafts)
    if terms.price is None or not shown.spans:
        return None
    if reproduction.reproducer is None:
        attempts = reproduction.attempts
        first = question_for_tests(shown, diagnosis, product, attempts, terms)
        follow = 2  # for patches, and for better ones
    else:
        first, follow = question_of(shown, (), terms), 1
    size = first.size()
    if size > MOST_PROMPT_BYTES:
        return None
    read = Usage(
        input_tokens=size // LIKELY_BYTES_OF_A_TOKEN,
        output_tokens=min(LIKELY_ANSWER_TOKENS, terms.max_tokens),
    )
    likely = cost(read, terms.price)
    assert likely is not None  # no cached tokens
    further = follow * most(MOST_PROMPT_BYTES, terms.max_tokens, terms.price)
    return Projection(
        likely_micros=likely,
        most_micros=most(size, terms.max_tokens, terms.price) + further,
        prompt_bytes=size,
    )
