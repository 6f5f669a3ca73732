"""The record of a question to a model: how it ended, and what it cost.

Every fault of a service has a name here: `Result`. Kept with what it was asked for, so audits
read it.
"""

from enum import Enum

import msgspec


class Result(Enum):
    """How a question ended."""

    ANSWERED = "answered"
    NOTHING_FITS = "nothing_fits"
    """It answered in form, but no draft can be applied to the code."""
    REFUSED = "refused"
    CUT_AT_MAX_TOKENS = "cut_at_max_tokens"
    EMPTY = "empty"
    MALFORMED = "malformed"
    WRONG_SCHEMA = "wrong_schema"
    OTHER_MODEL = "other_model"
    TOO_LARGE = "too_large"
    UNEXPECTED_STOP = "unexpected_stop"
    GARBLED = "garbled"
    """The stream or the reply is not what the API promises."""
    CUT_STREAM = "cut_stream"
    TOO_SLOW = "too_slow"
    """The total deadline was over, whether bytes still came or not."""
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    SPEND_LIMIT = "spend_limit"
    OVERLOADED = "overloaded"
    SERVER_FAULT = "server_fault"
    NOT_ALLOWED = "not_allowed"
    REJECTED = "rejected"
    NO_KEY = "no_key"
    NO_PRICE = "no_price"
    NO_BUDGET = "no_budget"
    SECRET_IN_PROMPT = "secret_in_prompt"  # noqa: S105  a result, no secret
    NOTHING_TO_SHOW = "nothing_to_show"
    """None of the code of the diagnosis may be changed, so none was sent."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the service counted them; `output_tokens` holds thinking too."""

    input_tokens: int
    output_tokens: int
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0

    @property
    def read_tokens(self) -> int:
        """All tokens of the prompt, cached or not."""
        return self.input_tokens + self.cache_write_tokens + self.cache_read_tokens


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one question, kept with the candidates.

    `prompt_sha256` is over all that was sent; `drafts` tell for each answer's draft what came
    of it, `explanations` are the model's own words and no evidence. Micro-dollars.
    """

    generator: str
    purpose: str
    model: str
    result: Result
    says: str = ""
    returned_model: str = ""
    request_id: str = ""
    prompt_sha256: str = ""
    usage: Usage | None = None
    reserved_micros: int = 0
    spent_micros: int = 0
    seconds: float = 0.0
    drafts: tuple[str, ...] = ()
    explanations: tuple[str, ...] = ()
