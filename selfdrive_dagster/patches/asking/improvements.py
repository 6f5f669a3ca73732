"""Improvements that a model drafts: edits, a test, and an effect that can be looked up later.

The edits pass all limits of a repair's; the test may do as little as one that a model writes for a
crash; the effect must be a change of the stated signal for the better, from a figure that telemetry
told. Belongs here: from an answer to drafts. Does not belong: asking, and proving.
"""

import msgspec

from selfdrive_dagster.model import Product, Result, digest
from selfdrive_dagster.patches.asking.clean import plain
from selfdrive_dagster.patches.asking.conversing import Made
from selfdrive_dagster.patches.asking.edits import FITS, Drafted, Edit, read_answer
from selfdrive_dagster.patches.asking.edits import Answered as Edits
from selfdrive_dagster.patches.asking.hurting import RISING, Hurt
from selfdrive_dagster.patches.asking.limits import Spans
from selfdrive_dagster.patches.asking.testing import fault_of
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.improve import Effect
from selfdrive_dagster.patches.reproduce.draft import tests_folder

LEAST_CHANGE = 0.05
MOST_RISE = 10.0
FEWEST = 60

_TEXT: dict[str, object] = {"type": "string"}


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties),
            "additionalProperties": False}  # fmt: skip


_EDIT = _object({"path": _TEXT, "search": _TEXT, "replace": _TEXT})
IMPROVEMENT_SCHEMA = _object(
    {
        "drafts": {
            "type": "array",
            "items": _object(
                {
                    "explanation": _TEXT,
                    "change": {"type": "number"},
                    "edits": {"type": "array", "items": _EDIT},
                    "test": _TEXT,
                }
            ),
        }
    }
)
"""The JSON schema that the answer must follow."""


class Improving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One draft as the model wrote it."""

    explanation: str
    change: float
    edits: tuple[Edit, ...]
    test: str


class Answered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole answer."""

    drafts: tuple[Improving, ...]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A draft that may be tried: its change, its test file, and what is expected of it."""

    draft: Draft
    test_path: str
    test: str
    effect: Effect


def read_improvements(
    text: str, *, hurt: Hurt, product: Product, spans: Spans, generator: str, most: int
) -> Made[Asked]:
    """Return the drafts of an answer's text that may be tried, and why others may not."""
    try:
        answered = msgspec.json.decode(text.encode("utf-8", "replace"), type=Answered)
    except msgspec.ValidationError as fault:
        return Made(Result.WRONG_SCHEMA, plain(str(fault))[:200])
    except msgspec.DecodeError as fault:
        return Made(Result.MALFORMED, plain(str(fault))[:200])
    made: list[Asked] = []
    fates: list[str] = []
    for one in answered.drafts[:most]:
        asked, fate = _asked(one, hurt, product, spans, generator)
        made += [asked] if asked is not None else []
        fates.append(fate)
    words = tuple(" ".join(plain(one.explanation).split())[:400] for one in answered.drafts[:most])
    result = Result.ANSWERED if made or not answered.drafts else Result.NOTHING_FITS
    says = "" if made else "; ".join(fates) or "it drafted nothing"
    return Made(result, says, tuple(made), tuple(fates), words)


def _asked(
    one: Improving, hurt: Hurt, product: Product, spans: Spans, generator: str
) -> tuple[Asked | None, str]:
    effect = _effect(one.change, hurt)
    if isinstance(effect, str):
        return None, effect
    if not one.test.strip():
        return None, "comes without a test"
    if fault := fault_of(one.test, product):
        return None, f"its test {fault}"
    drafted = Drafted(explanation=one.explanation, invents="", edits=one.edits)
    text = msgspec.json.encode(Edits(drafts=(drafted,))).decode()
    read = read_answer(text, product, spans, generator=generator, most=1, crashed=None)
    if not read.drafts:
        return None, read.says
    source = one.test if one.test.endswith("\n") else f"{one.test}\n"
    folder = tests_folder(product)
    name = f"test_selfdrive_{digest([hurt.issue_id, source])[:8]}.py"
    path = f"{folder}/{name}" if folder else name
    return Asked(draft=read.drafts[0], test_path=path, test=source, effect=effect), FITS


def _effect(change: float, hurt: Hurt) -> Effect | str:
    """Return the stated effect, or why it is none that could be looked up."""
    rising = hurt.signal in RISING
    if hurt.before is None:
        return f"nobody told {hurt.signal}, so no effect on it could be looked up"
    better = change if rising else -change
    if not LEAST_CHANGE <= better <= (MOST_RISE if rising else 1.0):
        return f"states no change of {hurt.signal} for the better"
    before = hurt.before
    # Of a feature that nobody uses, any use is a change for the better.
    after = max(1.0, before * (1 + change)) if rising else before * (1 + change)
    return Effect(
        signal=hurt.signal,
        service_name=hurt.service_name,
        subject=hurt.subject,
        before=before,
        low=after,
        high=after,
        unit=hurt.unit,
        fewest=FEWEST,
        says=f"{hurt.signal} of {hurt.subject} goes from {before:,.0f} to {after:,.0f} "
        f"{hurt.unit}, as a model expects",
    )
